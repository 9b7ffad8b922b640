//! How the targets are doing, for whoever watches from outside.

use gateway_resilience::BreakerState;
use tokio::time::Instant;

use crate::snapshot::Snapshot;

/// One target at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetReport {
    /// The configured name of its provider.
    pub provider: String,
    /// What the provider calls the model; `*` where any name is passed on.
    pub model: String,
    /// The state of its circuit breaker.
    pub breaker: BreakerState,
    /// Attempts whose answer is not over.
    pub in_flight: u32,
}

impl TargetReport {
    /// Every target of a configuration, sorted by name.
    pub(crate) fn of_all(snapshot: &Snapshot, now: Instant) -> Vec<Self> {
        let now = now.into_std();
        let mut reports: Vec<Self> = snapshot
            .carried
            .targets()
            .map(|(provider, model, health)| Self {
                provider: provider.to_owned(),
                model: model.to_owned(),
                breaker: health.breaker(now),
                in_flight: health.in_flight(),
            })
            .collect();
        reports.sort_by(|left, right| (&left.provider, &left.model).cmp(&(&right.provider, &right.model)));
        reports
    }
}
