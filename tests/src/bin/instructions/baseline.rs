//! What was counted when somebody last said that it is as it should be.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Map, Value, json};

use crate::report::Figure;
use crate::toolchain::toolchain;

/// Where it is, in the checkout that this program was built from.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline/instructions.json");

/// The committed figures.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    /// What they were counted with.
    pub(crate) counted_with: Map<String, Value>,
    pub(crate) rows: BTreeMap<String, Expected>,
}

/// A committed figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expected {
    pub(crate) instructions: u64,
    pub(crate) allocations: f64,
}

impl Baseline {
    /// What was just counted, as a baseline.
    pub(crate) fn of(figures: &[Figure]) -> Self {
        let row = |figure: &Figure| {
            let Figure { instructions, allocations, .. } = *figure;
            (figure.name.clone(), Expected { instructions, allocations })
        };
        Self { counted_with: toolchain(), rows: figures.iter().map(row).collect() }
    }

    /// Reads the file. No file is a baseline without rows.
    ///
    /// # Errors
    ///
    /// A file that is not what [`Baseline::save`] writes, in words.
    pub(crate) fn load() -> Result<Self, String> {
        let Ok(text) = fs::read_to_string(PATH) else { return Ok(Self::default()) };
        Self::parse(&text).ok_or_else(|| format!("{PATH} is damaged; write it anew with `just bench-micro --save`"))
    }

    fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let rows = value.get("rows")?.as_object()?.iter().map(|(name, row)| {
            let (instructions, allocations) = (row.get("instructions")?.as_u64()?, row.get("allocations")?.as_f64()?);
            Some((name.clone(), Expected { instructions, allocations }))
        });
        Some(Self { counted_with: value.get("counted_with")?.as_object()?.clone(), rows: rows.collect::<Option<_>>()? })
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// A file that cannot be written, in words.
    pub(crate) fn save(&self) -> Result<(), String> {
        fs::write(PATH, self.text()).map_err(|error| format!("{PATH} cannot be written: {error}"))
    }

    /// One line a row, so that a change of the file shows which.
    fn text(&self) -> String {
        let rows = self.rows.iter().map(|(name, Expected { instructions, allocations })| {
            format!("    {}: {{ \"instructions\": {instructions}, \"allocations\": {allocations} }}", json!(name))
        });
        let facts = self.counted_with.iter().map(|(name, fact)| format!("    {}: {fact}", json!(name)));
        let block = |lines: Vec<String>| lines.join(",\n");
        format!(
            "{{\n  \"counted_with\": {{\n{}\n  }},\n  \"rows\": {{\n{}\n  }}\n}}\n",
            block(facts.collect()),
            block(rows.collect())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let expected = Expected { instructions: 12_345, allocations: 0.5 };
        let rows = BTreeMap::from([("a \"row\"".to_owned(), expected), ("another".to_owned(), expected)]);
        let counted_with = Map::from_iter([("compiler".to_owned(), "rustc 1".into())]);
        let written = Baseline { counted_with: counted_with.clone(), rows: rows.clone() };
        let read = Baseline::parse(&written.text()).unwrap();
        assert_eq!((read.counted_with, read.rows), (counted_with, rows));
    }

    #[test]
    fn the_committed_one_can_be_read() {
        assert!(!Baseline::load().unwrap().rows.is_empty(), "write it with `just bench-micro --save`");
    }
}
