//! `rate_limit` as administrators write it, in files and through the API.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Budget, Limits, Quota};

/// The `rate_limit` of a key, as written. [`RateLimit::limits`] makes it into [`Limits`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(description = "What a key may use: any of these limits, each counted for itself.")
)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests a second; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_REQUESTS_PER_SECOND)))]
    pub requests_per_second: Option<u64>,
    /// How many of them may come at once; as many as in a second if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_REQUESTS_PER_SECOND)))]
    pub burst_size: Option<u64>,
    /// Requests a minute; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_REQUESTS_PER_SECOND * 60)))]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, of prompts and answers together; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_TOKENS_PER_MINUTE)))]
    pub tokens_per_minute: Option<u64>,
    /// Calls at once; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// Requests in `period_seconds`; 0 blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The period of `limit`; a minute if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub period_seconds: Option<u32>,
}

/// Why a limit, a budget or a price makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct LimitError {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

/// The highest rate of requests, in a second: beyond it a limit cannot be told from none, nor counted in microseconds.
const MOST_REQUESTS_PER_SECOND: u64 = 1_000_000;

/// The most tokens a minute.
const MOST_TOKENS_PER_MINUTE: u64 = 1_000_000_000_000;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

impl RateLimit {
    /// The limits that are meant, with a budget beside them. An error names the field that makes no sense.
    pub fn limits(&self, budget: Option<Budget>) -> Result<Limits, LimitError> {
        let requests = [self.per_second()?, self.per_minute()?, self.per_period()?];
        Ok(Limits {
            requests: requests.into_iter().flatten().collect(),
            tokens: self.tokens()?,
            max_concurrent: self.max_concurrent,
            budget,
        })
    }

    fn per_second(&self) -> Result<Option<Quota>, LimitError> {
        let Some(limit) = self.requests_per_second else {
            return match self.burst_size {
                Some(_) => Err(error("burst_size", "is a part of requests_per_second, which is missing".to_owned())),
                None => Ok(None),
            };
        };
        if self.burst_size.is_some_and(|burst| burst > MOST_REQUESTS_PER_SECOND) {
            return Err(too_large("burst_size", MOST_REQUESTS_PER_SECOND));
        }
        requests("requests_per_second", limit, SECOND, self.burst_size.unwrap_or(limit)).map(Some)
    }

    fn per_minute(&self) -> Result<Option<Quota>, LimitError> {
        self.requests_per_minute.map(|limit| requests("requests_per_minute", limit, MINUTE, limit)).transpose()
    }

    fn per_period(&self) -> Result<Option<Quota>, LimitError> {
        let Some(limit) = self.limit else {
            return match self.period_seconds {
                Some(_) => Err(error("period_seconds", "is the period of limit, which is missing".to_owned())),
                None => Ok(None),
            };
        };
        let period = self.period_seconds.map_or(MINUTE, |seconds| Duration::from_secs(seconds.into()));
        if period.is_zero() {
            return Err(error("period_seconds", "must be at least 1".to_owned()));
        }
        requests("limit", limit, period, limit).map(Some)
    }

    fn tokens(&self) -> Result<Option<Quota>, LimitError> {
        let too_many = || too_large("tokens_per_minute", MOST_TOKENS_PER_MINUTE);
        let quota = |limit| {
            Some(limit)
                .filter(|it| *it <= MOST_TOKENS_PER_MINUTE)
                .and_then(|it| Quota::tokens(it, MINUTE))
                .ok_or_else(too_many)
        };
        self.tokens_per_minute.map(quota).transpose()
    }
}

fn requests(field: &'static str, limit: u64, period: Duration, burst: u64) -> Result<Quota, LimitError> {
    let most = MOST_REQUESTS_PER_SECOND.saturating_mul(period.as_secs());
    let quota = if limit <= most { Quota::requests(limit, period, burst) } else { None };
    quota.ok_or_else(|| too_large(field, most))
}

fn too_large(field: &'static str, most: u64) -> LimitError {
    error(field, format!("must be at most {most}; leave it out for no limit"))
}

fn error(field: &'static str, problem: String) -> LimitError {
    LimitError { field, problem }
}

#[cfg(test)]
mod tests;
