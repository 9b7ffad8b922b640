//! What has become of a provider's attempts so far, for whoever watches from outside.

use std::sync::atomic::{AtomicU64, Ordering};

use gateway_call::Outcome;
use gateway_resilience::{BreakerChange, Lesson};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::clock;

/// The record of one provider, for as long as it stays at its address.
#[derive(Debug, Default)]
pub(crate) struct Record {
    breaker: AtomicU64,
    credential: AtomicU64,
    rate_limit: AtomicU64,
    last_failure: Mutex<Option<(Outcome, Instant)>>,
}

/// How often calls were turned away from a provider's targets for a while, by what for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ejections {
    /// A target failed too often, and its circuit breaker opened.
    pub breaker: u64,
    /// The provider rejected one of its credentials.
    pub credential: u64,
    /// The provider asked for fewer requests.
    pub rate_limit: u64,
}

impl Record {
    /// Notes what an attempt has shown of its target.
    pub(crate) fn note(&self, outcome: Outcome, lesson: &Lesson) {
        let count = |counter: &AtomicU64| _ = counter.fetch_add(1, Ordering::Relaxed);
        if matches!(lesson.breaker, Some(BreakerChange::Opened { .. })) {
            count(&self.breaker);
        }
        if lesson.has_lost_credential {
            count(&self.credential);
        }
        if matches!(outcome, Outcome::RateLimited { .. }) {
            count(&self.rate_limit);
        }
        if is_failure(outcome) {
            *self.last_failure.lock() = Some((outcome, clock::now()));
        }
    }

    pub(crate) fn ejections(&self) -> Ejections {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ejections {
            breaker: read(&self.breaker),
            credential: read(&self.credential),
            rate_limit: read(&self.rate_limit),
        }
    }

    /// How the last attempt that failed did so, and when.
    pub(crate) fn last_failure(&self) -> Option<(Outcome, Instant)> {
        *self.last_failure.lock()
    }
}

/// Whether an outcome is the provider's doing.
fn is_failure(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Success | Outcome::ClientFault | Outcome::ContextLength | Outcome::Cancelled)
}
