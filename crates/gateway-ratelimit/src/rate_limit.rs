//! `rate_limit` as administrators write it, in files and through the API.

use serde::{Deserialize, Serialize};

use crate::{Budget, Limits};

/// The `rate_limit` of a key, as written. [`RateLimit::limits`] makes it into [`Limits`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests a second; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u64>,
    /// How many of them may come at once; as many as in a second if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst_size: Option<u64>,
    /// Requests a minute; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, of prompts and answers together; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Calls at once; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// Requests in `period_seconds`; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The period of `limit`; a minute if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<u32>,
}

/// Why a `rate_limit` makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct RateLimitError {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

impl RateLimit {
    /// The limits that are meant, with a budget beside them.
    pub fn limits(&self, budget: Option<Budget>) -> Result<Limits, RateLimitError> {
        let _ = budget;
        Err(RateLimitError { field: "rate_limit", problem: String::new() })
    }
}
