//! What there is to say about the configuration in force.

use std::sync::Arc;

use gateway_config::{ConfigErrors, Difference, LeftOut};
use jiff::Timestamp;

/// The configuration in force, and what became of the last attempt to change it.
#[derive(Debug, Clone)]
pub struct Status {
    /// Counts the configurations that have been in force, from 1.
    pub version: u64,
    /// Where it is from: `file`, `environment`, `file and store`, …
    pub source: &'static str,
    /// When it came into force.
    pub loaded_at: Timestamp,
    /// Why the last attempt to change it came to nothing; none if it did not.
    pub last_error: Option<Arc<ConfigErrors>>,
    /// Entries of the store that are not part of it.
    pub left_out: Vec<LeftOut>,
    /// How the reloads since the start ended.
    pub reloads: Reloads,
}

/// What a reload has brought.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The version in force now: that of before if nothing has changed.
    pub version: u64,
    /// What is different from before.
    pub difference: Difference,
    /// What is allowed but looks like a mistake.
    pub warnings: Vec<String>,
}

/// How often a configuration was loaded since the process was started, whatever brought it about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// It was good, also if it was the one in force.
    pub succeeded: u64,
    /// It was refused, and the one in force stayed.
    pub refused: u64,
}
