//! What is kept as JSON, in columns and in the snapshot.

use gateway_ratelimit::{Budget, BudgetPeriod};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A budget as it is written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenBudget {
    usd: f64,
    period: BudgetPeriod,
}

impl From<&Budget> for WrittenBudget {
    fn from(budget: &Budget) -> Self {
        Self { usd: budget.usd(), period: budget.period }
    }
}

impl TryFrom<WrittenBudget> for Budget {
    type Error = String;

    fn try_from(written: WrittenBudget) -> Result<Self, String> {
        Self::from_usd(written.usd, written.period).map_err(|error| error.to_string())
    }
}

pub(crate) fn written_json(value: &impl Serialize) -> String {
    // Lists of text and structures of numbers can always be written; only maps with odd keys cannot.
    serde_json::to_string(value).unwrap_or_default()
}

pub(crate) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

pub(crate) fn written_budget(budget: &Budget) -> String {
    written_json(&WrittenBudget::from(budget))
}

pub(crate) fn read_budget(text: &str) -> Result<Budget, String> {
    read_json::<WrittenBudget>(text)?.try_into()
}

/// The text of a JSON object, as it is.
pub(crate) fn read_object(text: &str) -> Result<String, String> {
    // Nearly every key has none.
    if text != "{}" {
        read_json::<serde_json::Map<String, serde_json::Value>>(text)?;
    }
    Ok(text.to_owned())
}
