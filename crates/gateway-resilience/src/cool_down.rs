//! How long something is to be left alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::epoch::Epoch;

/// The moment at which something is of use again, in nanoseconds of an [`Epoch`].
///
/// It only ever moves away: who asks for a minute and then, about another call, for a second still wants the minute.
#[derive(Debug, Default)]
pub(crate) struct CoolDown(AtomicU64);

impl CoolDown {
    /// Makes it last for `wait` from now, or longer if it does anyway. Says whether it had been over.
    pub(crate) fn extend(&self, epoch: Epoch, now: Instant, wait: Duration) -> bool {
        let before = self.0.fetch_max(epoch.nanos_after(now, wait), Ordering::Relaxed);
        before <= epoch.nanos(now)
    }

    /// What is left of it; zero if it is over, or never began.
    pub(crate) fn remaining(&self, epoch: Epoch, now: Instant) -> Duration {
        let until = self.0.load(Ordering::Relaxed);
        // Asked by every call about every target and credential, most of which were never refused anything.
        if until == 0 { Duration::ZERO } else { Duration::from_nanos(until.saturating_sub(epoch.nanos(now))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::any_instant;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_longest_wait_counts_and_ends() {
        let (start, cool_down) = (any_instant(), CoolDown::default());
        let epoch = Epoch::new(start);
        assert_eq!(cool_down.remaining(epoch, start), Duration::ZERO);
        assert!(cool_down.extend(epoch, start, 60 * SECOND));
        assert!(!cool_down.extend(epoch, start + SECOND, SECOND), "it was not over");
        assert_eq!(cool_down.remaining(epoch, start + SECOND), 59 * SECOND);
        assert_eq!(cool_down.remaining(epoch, start + 60 * SECOND), Duration::ZERO);
        assert!(cool_down.extend(epoch, start + 60 * SECOND, SECOND), "over at its very end");
    }

    #[test]
    fn no_wait_is_too_long() {
        let (start, cool_down) = (any_instant(), CoolDown::default());
        let epoch = Epoch::new(start);
        cool_down.extend(epoch, start + SECOND, Duration::MAX);
        assert_eq!(cool_down.remaining(epoch, start), Duration::from_nanos(u64::MAX));
        assert!(epoch.instant(u64::MAX) >= start);
    }
}
