//! Leave to make one attempt.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gateway_call::Outcome;

use super::TargetHealth;
use crate::BreakerChange;
use crate::breaker::{Finding, Ticket};

/// Leave to make one attempt at a target, which counts as in flight there for as long as this lives.
///
/// [Finished](Self::finish) with an outcome, the target learns from it. Dropped, the attempt was cancelled and says nothing:
/// it is no longer in flight, and if it was a probe, another may be made.
#[derive(Debug)]
#[must_use = "an attempt whose pass is dropped counts as cancelled"]
pub struct Pass {
    health: Arc<TargetHealth>,
    /// None once the breaker knows what it wanted to.
    ticket: Option<Ticket>,
}

impl Pass {
    pub(super) fn new(health: Arc<TargetHealth>, ticket: Ticket) -> Self {
        Self { health, ticket: Some(ticket) }
    }

    /// Notes that the answer has shown its first content after so long. To be called once.
    ///
    /// For a probe this is its success, so that a breaker need not wait for the end of a long stream. For any other attempt it
    /// is the whole answer that counts.
    pub fn first_content(&mut self, elapsed: Duration, now: Instant) -> Option<BreakerChange> {
        self.health.observe(elapsed, now);
        let ticket = self.ticket.take_if(|it| it.is_probe())?;
        self.health.breaker.record(ticket, Finding::Success, now)
    }

    /// Notes what came of the attempt, made with this credential; says what it changed.
    ///
    /// The breaker learns whether the target works, unless the outcome says nothing about that. A rate limit cools the
    /// credential down at this target, for as long as the upstream said or else a second; an overload with a time cools the
    /// target down; both for at most five minutes. A target that does not know its model is left alone for a minute. A rejected credential is left out of its pool.
    pub fn finish(mut self, credential: usize, outcome: Outcome, now: Instant) -> Lesson {
        let ticket = self.ticket.take();
        let breaker = ticket.and_then(|ticket| self.health.breaker.record(ticket, Finding::of(outcome), now));
        Lesson { breaker, has_lost_credential: self.health.obey(credential, outcome, now) }
    }
}

/// What a target learned from an attempt, for whoever tells people. Of many attempts that show the same, one is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lesson {
    /// How its breaker changed.
    pub breaker: Option<BreakerChange>,
    /// Whether a credential that had been good is left out from now on.
    pub has_lost_credential: bool,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.health.breaker.release(ticket);
        }
        self.health.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
