//! `timeouts`, `retry`, `circuit_breaker` and `health_check`.

use gateway_resilience::{BreakerPolicy, BudgetPolicy, RetryPolicy};
use gateway_upstream::Timeouts;
use serde::Serialize;

use crate::config::{HealthCheck, HealthCheckDefaults};
use crate::unit::shown_duration;

/// `timeouts`, of everything or of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedTimeouts {
    pub connect: String,
    pub headers: String,
    pub first_token: String,
    pub idle: String,
    pub total: String,
}

/// `retry`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedRetry {
    pub max_retries: u32,
    pub base_delay: String,
    pub max_delay: String,
    pub max_retry_after: String,
    pub budget: RedactedRetryBudget,
}

/// `retry.budget`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedRetryBudget {
    pub ratio: f64,
    pub min_per_second: f64,
}

/// `circuit_breaker`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedBreaker {
    pub consecutive_failures: u32,
    pub failure_ratio: f64,
    pub min_requests: u32,
    pub window: String,
    pub open: String,
    pub max_open: String,
    pub half_open_probes: u32,
}

/// `health_check`, of all providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedHealthCheckDefaults {
    /// None if only those are checked that say so themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    pub timeout: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// `providers[].health_check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RedactedHealthCheck {
    /// Always `false`.
    Off(bool),
    /// How it is checked.
    On {
        /// The model that is asked for.
        model: String,
        /// How often it is.
        interval: String,
        /// How long the answer may take.
        timeout: String,
    },
}

impl From<&Timeouts> for RedactedTimeouts {
    fn from(timeouts: &Timeouts) -> Self {
        Self {
            connect: shown_duration(timeouts.connect),
            headers: shown_duration(timeouts.headers),
            first_token: shown_duration(timeouts.first_token),
            idle: shown_duration(timeouts.idle),
            total: shown_duration(timeouts.total),
        }
    }
}

impl RedactedRetry {
    pub(super) fn new(retry: &RetryPolicy, budget: &BudgetPolicy) -> Self {
        Self {
            max_retries: retry.max_retries,
            base_delay: shown_duration(retry.backoff.base),
            max_delay: shown_duration(retry.backoff.max),
            max_retry_after: shown_duration(retry.max_retry_after),
            budget: RedactedRetryBudget { ratio: budget.ratio, min_per_second: budget.min_per_second },
        }
    }
}

impl From<&BreakerPolicy> for RedactedBreaker {
    fn from(policy: &BreakerPolicy) -> Self {
        Self {
            consecutive_failures: policy.consecutive_failures,
            failure_ratio: policy.failure_ratio,
            min_requests: policy.min_requests,
            window: shown_duration(policy.window),
            open: shown_duration(policy.open),
            max_open: shown_duration(policy.max_open),
            half_open_probes: policy.half_open_probes,
        }
    }
}

impl From<&HealthCheckDefaults> for RedactedHealthCheckDefaults {
    fn from(defaults: &HealthCheckDefaults) -> Self {
        Self {
            interval: defaults.interval.map(shown_duration),
            timeout: shown_duration(defaults.timeout),
            model: defaults.model.clone(),
        }
    }
}

impl From<Option<&HealthCheck>> for RedactedHealthCheck {
    fn from(check: Option<&HealthCheck>) -> Self {
        let Some(HealthCheck { model, interval, timeout }) = check else { return Self::Off(false) };
        let (interval, timeout) = (shown_duration(*interval), shown_duration(*timeout));
        Self::On { model: model.clone(), interval, timeout }
    }
}
