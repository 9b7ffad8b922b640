//! What is kept as JSON, in columns and in the snapshot.

use gateway_ratelimit::{Budget, LimitError, UsdBudget};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

pub(crate) fn written_json(value: &impl Serialize) -> String {
    // Lists of text and structures of numbers can always be written; only maps with odd keys cannot.
    serde_json::to_string(value).unwrap_or_default()
}

pub(crate) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// What was written as an object. What serde derives takes a list as well, member by member in their order, and an empty
/// one for limits that limit nothing.
pub(crate) fn read_object<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if text.trim_ascii_start().starts_with('{') {
        return read_json(text);
    }
    Err("has to be a JSON object".to_owned())
}

pub(crate) fn written_budget(budget: &Budget) -> String {
    written_json(&UsdBudget::from(*budget))
}

pub(crate) fn read_budget(text: &str) -> Result<Budget, String> {
    read_object::<UsdBudget>(text)?.try_into().map_err(|error: LimitError| error.to_string())
}

/// Whether a text is a JSON object. Keeps nothing of it.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The text of a JSON object, as it is.
pub(crate) fn read_notes(text: &str) -> Result<String, String> {
    // Nearly every key has none.
    if text != "{}" {
        read_json::<serde_json::Map<String, serde_json::Value>>(text)?;
    }
    Ok(text.to_owned())
}
