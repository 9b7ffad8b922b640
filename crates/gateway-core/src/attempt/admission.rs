//! A place at a target, held for as long as an attempt needs it.

use std::sync::Arc;

use gateway_call::{Label, ModelName, Outcome};
use gateway_resilience::{BreakerChange, Pass};
use tokio::time::Instant;

use crate::clock;
use crate::gate::Place;
use crate::plan::Aim;
use crate::snapshot::Record;

/// Which targets may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    /// Those that their breaker lets through and that do not want to be left alone for long.
    Healthy,
    /// Also those that do.
    Resting,
    /// The same, where there is no room just now: the call waits in line for it.
    Crowded,
    /// Those that it does not, as far as they may be probed at all.
    LastResort,
}

/// Leave to send one request to a target with one of its provider's credentials.
///
/// The target counts it as in flight for as long as it lives. Dropped without a verdict it was cancelled, and says
/// nothing about the target.
#[derive(Debug)]
pub(crate) struct Admission {
    pass: Pass,
    /// One of the provider's places, if it has only so many.
    _place: Option<Place>,
    /// The credential's place in the provider's list.
    pub(super) credential: usize,
    provider: Label,
    upstream_model: ModelName,
    record: Arc<Record>,
}

impl Admission {
    /// Leave for an attempt at `aim`, with a credential.
    pub(super) fn new(pass: Pass, place: Option<Place>, credential: usize, aim: &Aim<'_>) -> Self {
        let (provider, upstream_model) = (aim.provider.name.clone(), aim.upstream_model.clone());
        let record = Arc::clone(&aim.provider.state.record);
        Self { pass, _place: place, credential, provider, upstream_model, record }
    }

    /// The upstream has shown content; the attempt began at `began`.
    pub(super) fn first_content(&mut self, began: Instant) {
        let now = clock::now();
        let change = self.pass.first_content(now.saturating_duration_since(began), now.into_std());
        report(change, &self.provider, &self.upstream_model);
    }

    /// Tells the target what came of it. True if that cost the provider a credential that had been good.
    pub(crate) fn finish(self, outcome: Outcome) -> bool {
        let lesson = self.pass.finish(self.credential, outcome, clock::now().into_std());
        self.record.note(outcome, &lesson);
        report(lesson.breaker, &self.provider, &self.upstream_model);
        lesson.has_lost_credential
    }
}

fn report(change: Option<BreakerChange>, provider: &str, upstream_model: &ModelName) {
    let upstream_model = upstream_model.as_str();
    match change {
        None => {}
        Some(BreakerChange::Opened { until }) => {
            let seconds = until.saturating_duration_since(clock::now().into_std()).as_secs_f64();
            tracing::warn!(provider, upstream_model, seconds, "circuit breaker opened: the target is left alone");
        }
        Some(BreakerChange::Closed) => {
            tracing::info!(provider, upstream_model, "circuit breaker closed: the target is used again");
        }
    }
}
