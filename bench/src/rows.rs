//! What was measured, measurement by measurement.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::load::Outcome;
use crate::peer::Programs;
use crate::statistics::Spread;

/// One measurement.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) case: &'static str,
    /// Who was measured: a peer, or a form of the gateway.
    pub(crate) who: String,
    pub(crate) round: usize,
    /// By the heading of the column.
    pub(crate) values: BTreeMap<&'static str, f64>,
    /// What the load saw, where there was one.
    pub(crate) outcome: Option<Outcome>,
}

/// A whole run, as it is written to a file.
#[derive(Debug, Serialize)]
pub(crate) struct Run<'a> {
    /// How many cores there were.
    pub(crate) cores: usize,
    pub(crate) rounds: usize,
    /// How long a measurement made calls.
    pub(crate) seconds: f64,
    /// The programs that were measured, beside this tool's own proxy.
    pub(crate) programs: &'a Programs,
    pub(crate) rows: &'a Rows,
}

/// All measurements so far.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Rows(pub(crate) Vec<Row>);

impl Rows {
    /// What came of one column for one of those measured in a case.
    pub(crate) fn spread(&self, case: &str, who: &str, column: &str) -> Option<Spread> {
        let rows = self.0.iter().filter(|row| row.case == case && row.who == who);
        let values: Vec<_> = rows.filter_map(|row| row.values.get(column).copied()).collect();
        Spread::of(&values)
    }

    /// Who was measured in a case, in the order of their first measurement.
    pub(crate) fn measured(&self, case: &str) -> Vec<&str> {
        let mut measured = Vec::new();
        for row in self.0.iter().filter(|row| row.case == case) {
            if !measured.contains(&row.who.as_str()) {
                measured.push(row.who.as_str());
            }
        }
        measured
    }
}
