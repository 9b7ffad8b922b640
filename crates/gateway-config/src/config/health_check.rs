//! `health_check`, resolved.

use std::time::Duration;

/// How a provider is asked in the background, with a small real request, whether it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The public name of the model that is asked for, which the provider serves.
    pub model: String,
    /// How often it is asked, 1 s to 24 h. Whoever asks keeps to it on average only, lest all providers be asked at once.
    pub interval: Duration,
    /// How long the answer may take, 100 ms to 5 min.
    pub timeout: Duration,
}

/// What holds for the health checks of providers that do not say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheckDefaults {
    /// How often a provider is asked; `None` if only those are that say so themselves.
    pub interval: Option<Duration>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The public name of the model that is asked for where it is served; elsewhere it is the first name of the mapping.
    pub model: Option<String>,
}

impl Default for HealthCheckDefaults {
    /// Nobody is asked: each check is a call, which costs money.
    fn default() -> Self {
        Self { interval: None, timeout: Duration::from_secs(10), model: None }
    }
}
