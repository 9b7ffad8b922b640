//! Limits of this process alone, in its memory.

/// Counts in memory.
#[derive(Debug, Default)]
pub struct LocalLimits {}
