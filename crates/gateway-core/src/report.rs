//! How the targets are doing, for whoever watches from outside.

use gateway_resilience::BreakerState;
use tokio::time::Instant;

use crate::snapshot::Snapshot;

/// One target at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetReport {
    /// The configured name of its provider.
    pub provider: String,
    /// What the provider calls the model. `*` stands for names that came when there were too many to tell them apart,
    /// and `/v1/*` for what is passed through.
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
        let targets = snapshot.carried.targets().into_iter();
        let report = targets.map(|(provider, model, health)| Self {
            provider: provider.as_ref().to_owned(),
            model: model.as_str().to_owned(),
            breaker: health.breaker(now),
            in_flight: health.in_flight(),
        });
        report.collect()
    }
}
