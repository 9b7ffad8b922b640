//! Lists of names and values: `a=1,b=x%20y`, which is the form of the W3C's Baggage without properties.

use percent_encoding::percent_decode_str;

use super::SettingsProblem;

/// The entries in order. Values are percent-decoded and names are not; blanks around both do not count, nor do empty entries.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, SettingsProblem> {
    let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
    entries
        .enumerate()
        .map(|(index, entry)| parse_entry(entry).ok_or(SettingsProblem::List { entry: index + 1 }))
        .collect()
}

fn parse_entry(entry: &str) -> Option<(String, String)> {
    let (name, value) = entry.split_once('=')?;
    let name = name.trim();
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
}
