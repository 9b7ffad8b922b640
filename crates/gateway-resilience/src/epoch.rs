//! Moments as numbers.
//!
//! An [`Instant`] does not fit an atomic. Each structure whose moments are read without a lock keeps the instant at which it
//! was made, and counts from there: in nanoseconds, 64 bits last for 584 years.

use std::time::{Duration, Instant};

/// Where a structure's time begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epoch(Instant);

impl Epoch {
    /// Time that begins now.
    pub(crate) fn new(now: Instant) -> Self {
        Self(now)
    }

    /// The nanoseconds from the beginning to `now`; 0 if that was before.
    pub(crate) fn nanos(self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.0))
    }

    /// The nanoseconds from the beginning to `wait` after `now`; an end that is too far away is as far as can be.
    pub(crate) fn nanos_after(self, now: Instant, wait: Duration) -> u64 {
        self.nanos(now).saturating_add(nanos(wait))
    }

    /// The moment that lies this many nanoseconds after the beginning; the beginning itself if the platform cannot
    /// express it.
    pub(crate) fn instant(self, nanos: u64) -> Instant {
        self.0.checked_add(Duration::from_nanos(nanos)).unwrap_or(self.0)
    }

    /// The whole periods of this many seconds that have passed.
    pub(crate) fn periods(self, now: Instant, seconds: u64) -> u64 {
        now.saturating_duration_since(self.0).as_secs() / seconds.max(1)
    }
}

/// A duration in nanoseconds; what exceeds 584 years is 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A moment for tests to begin at.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant cannot be had otherwise, and any will do")]
pub(crate) fn any_instant() -> Instant {
    Instant::now()
}
