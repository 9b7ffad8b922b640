//! Money: what a token costs, and how much may be spent by when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// US dollars, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NanoUsd(pub u64);

/// What a model costs, in trillionths of a US dollar a token: $0.15 for a million tokens are 150,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// For each token of the prompt.
    pub input: u64,
    /// For each token of the answer.
    pub output: u64,
}

/// Money that may be spent in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How much.
    pub limit: NanoUsd,
    /// By when.
    pub period: BudgetPeriod,
}

/// How long a budget lasts; days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetPeriod {
    /// Until midnight.
    Day,
    /// Until the first of the next month.
    Month,
    /// For good.
    Total,
}

/// The window of a budget that a moment lies in, by the moment at which it begins; that of a total budget begins at the
/// epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BudgetWindow {
    /// The budget's period.
    pub period: BudgetPeriod,
    /// Its beginning.
    pub start: Timestamp,
}
