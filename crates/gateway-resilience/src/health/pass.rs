//! Leave to make one attempt.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gateway_call::Outcome;

use super::TargetHealth;
use crate::breaker::{Admission, Finding};

/// Leave to make one attempt at a target, which counts as in flight there for as long as this lives.
///
/// [Finished](Self::finish) with an outcome, the target learns from it. Dropped, the attempt was cancelled and says nothing:
/// it is no longer in flight, and if it was a probe, another may be made.
#[derive(Debug)]
#[must_use = "an attempt whose pass is dropped counts as cancelled"]
pub struct Pass {
    health: Arc<TargetHealth>,
    /// None once the breaker knows what it wanted to.
    admission: Option<Admission>,
}

impl Pass {
    pub(super) fn new(health: Arc<TargetHealth>, admission: Admission) -> Self {
        Self { health, admission: Some(admission) }
    }

    /// Notes that the answer has shown its first content after so long. To be called once.
    ///
    /// For a probe this is its success, so that a breaker need not wait for the end of a long stream. For any other attempt it
    /// is the whole answer that counts.
    pub fn first_content(&mut self, elapsed: Duration, now: Instant) {
        self.health.observe(elapsed, now);
        if let Some(admission) = self.admission.take_if(|it| it.is_probe()) {
            self.health.breaker.record(admission, Finding::Success, now);
        }
    }

    /// Notes what came of the attempt, made with this credential.
    ///
    /// The breaker learns whether the target works, unless the outcome says nothing about that. A rate limit cools the
    /// credential down at this target, for as long as the upstream said or else a second; an overload with a time cools the
    /// target down; both for at most five minutes. A rejected credential is left out of its pool.
    pub fn finish(mut self, credential: usize, outcome: Outcome, now: Instant) {
        if let Some(admission) = self.admission.take() {
            self.health.breaker.record(admission, Finding::of(outcome), now);
        }
        self.health.obey(credential, outcome, now);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.health.breaker.release(admission);
        }
        self.health.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
