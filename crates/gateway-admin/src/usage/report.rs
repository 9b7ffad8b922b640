//! What is told of usage.

use gateway_keystore::{UsageGroup, UsageSums};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use super::request::UsageDimension;

/// What calls took, or a part of it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct UsageReport {
    /// When the first hour begins that counts: `from` as it was asked for, at the beginning of its hour.
    pub from: Timestamp,
    /// When the last hour ends that counts.
    pub to: Timestamp,
    /// What is told apart.
    pub group_by: Vec<UsageDimension>,
    /// A row for each group, ordered by time, key, model and provider.
    pub data: Vec<UsageRow>,
    /// Everything from `from` to `to`, on all pages together. On the first page only; null on those that a `cursor` leads to.
    pub totals: Option<UsageFigures>,
    /// Whether all that this node has counted is among it; false if the store does not take it now. Other nodes write what they
    /// have counted every few seconds.
    pub is_current: bool,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

/// What the calls of one group took. What is not told apart is not there. Key, model and provider are all `other` for calls of
/// which there were more combinations than a node tells apart.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct UsageRow {
    /// When the hour began in which the calls ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<Timestamp>,
    /// The day in UTC on which they did, such as `2030-01-31`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The name that the key had; `unknown` if the caller had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The model, or the pattern that led to it; `unknown` for calls that were refused before, and for names that only a
    /// provider knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The provider that answered, or else was tried last; `none` if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What they took.
    #[serde(flatten)]
    pub figures: UsageFigures,
}

/// What calls took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
pub struct UsageFigures {
    /// Calls, those that were refused included.
    pub requests: u64,
    /// Those of them that were answered with a status of 400 or above, or whose caller left (499).
    pub errors: u64,
    /// Those of them whose tokens are estimates, because the provider reported none.
    pub estimated_requests: u64,
    /// Tokens of prompts, those from a cache included.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// The part of `prompt_tokens` that came from providers' caches.
    pub cached_tokens: u64,
    /// Tokens of prompts and answers.
    pub total_tokens: u64,
    /// What it cost by the prices of the configuration, in US dollars.
    pub cost_usd: f64,
}

impl From<&UsageSums> for UsageFigures {
    fn from(sums: &UsageSums) -> Self {
        Self {
            requests: sums.requests,
            errors: sums.errors,
            estimated_requests: sums.estimated,
            prompt_tokens: sums.prompt_tokens,
            completion_tokens: sums.completion_tokens,
            cached_tokens: sums.cached_tokens,
            total_tokens: sums.prompt_tokens.saturating_add(sums.completion_tokens),
            cost_usd: sums.cost.usd(),
        }
    }
}

impl UsageRow {
    pub(super) fn new(group: &UsageGroup, sums: &UsageSums, group_by: &[UsageDimension]) -> Self {
        let start = |dimension| group.start.filter(|_| group_by.contains(&dimension));
        let name = |name: &Option<std::sync::Arc<str>>| name.as_deref().map(str::to_owned);
        Self {
            hour: start(UsageDimension::Hour),
            day: start(UsageDimension::Day).map(|start| start.to_zoned(TimeZone::UTC).date().to_string()),
            key: name(&group.key),
            model: name(&group.model),
            provider: name(&group.provider),
            figures: sums.into(),
        }
    }
}
