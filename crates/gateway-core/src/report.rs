//! How the targets are doing, for whoever watches from outside.

use std::collections::HashMap;
use std::time::Duration;

use gateway_call::{Label, Outcome};
use gateway_resilience::BreakerState;
use tokio::time::Instant;

use crate::snapshot::{Ejections, Snapshot};

/// One provider at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderReport {
    /// Its configured name.
    pub name: Label,
    /// Its targets, sorted by name. Those of names that only callers have used appear once somebody has.
    pub targets: Vec<TargetReport>,
    /// How often calls were turned away from its targets. Begins anew when the provider's address changes.
    pub ejections: Ejections,
    /// How its last failed attempt failed, and how long ago.
    pub last_failure: Option<(Outcome, Duration)>,
}

impl ProviderReport {
    /// Every provider that takes calls, in the order of the configuration.
    pub(crate) fn of_all(snapshot: &Snapshot, now: Instant) -> Vec<Self> {
        let mut targets: HashMap<String, Vec<TargetReport>> = HashMap::new();
        for target in TargetReport::of_all(snapshot, now) {
            targets.entry(target.provider.clone()).or_default().push(target);
        }
        let report = snapshot.providers.iter().map(|provider| {
            let record = &provider.state.record;
            let since = |(outcome, at): (Outcome, Instant)| (outcome, now.saturating_duration_since(at));
            Self {
                targets: targets.remove(&*provider.name).unwrap_or_default(),
                name: provider.name.clone(),
                ejections: record.ejections(),
                last_failure: record.last_failure().map(since),
            }
        });
        report.collect()
    }

    /// Whether calls to it may come to something: not all of its targets are left alone.
    pub fn is_healthy(&self) -> bool {
        let is_open = |target: &TargetReport| matches!(target.breaker, BreakerState::Open { .. });
        self.targets.is_empty() || !self.targets.iter().all(is_open)
    }
}

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
