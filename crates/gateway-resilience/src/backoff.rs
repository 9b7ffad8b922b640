//! How long a call waits before it goes round the same targets again.
//!
//! Calls that failed together must not return together, or the upstream that they overran is overrun again by each round
//! of them. Of the ways to spread them, full jitter (anything between nothing and the whole delay) needs the fewest
//! attempts and the least time: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

use std::time::Duration;

use crate::epoch::nanos;

/// Exponential backoff with full jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest delay before the second round. It doubles with each further one. Zero: no delay ever.
    pub base: Duration,
    /// What the doubling ends at. Below `base` it is the longest delay of every round.
    pub max: Duration,
}

impl Backoff {
    /// The delay after a round, counted from 0: anything from nothing to `base * 2^round`, at most `max`.
    ///
    /// All delays are equally likely if `random` is uniform over all 64-bit numbers. They are whole nanoseconds, and at most
    /// 584 years.
    pub fn delay(&self, round: u32, random: u64) -> Duration {
        // A product of two 64-bit numbers of which only the upper half is wanted: Lemire, "Fast Random Integer Generation
        // in an Interval", 2019. Without his rejection step the bias is one part in 2^64 / ceiling.
        let choices = u128::from(nanos(self.ceiling(round))) + 1;
        let chosen = (choices * u128::from(random)) >> 64;
        // Below `choices`, so at most u64::MAX.
        Duration::from_nanos(u64::try_from(chosen).unwrap_or(u64::MAX))
    }

    /// The longest delay after a round: `base * 2^round`, at most `max`.
    pub(crate) fn ceiling(&self, round: u32) -> Duration {
        let factor = 1_u64.checked_shl(round).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos(self.base).saturating_mul(factor).min(nanos(self.max)))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(200), max: Duration::from_secs(5) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Durations of all magnitudes, to beyond what 64 bits hold in nanoseconds.
    fn duration() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0_u64..=63, any::<u64>()).prop_map(|(shift, nanos)| Duration::from_nanos(nanos >> shift)),
            Just(Duration::ZERO),
            Just(Duration::MAX),
        ]
    }

    fn backoff() -> impl Strategy<Value = Backoff> {
        (duration(), duration()).prop_map(|(base, max)| Backoff { base, max })
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let ceilings = (0..7).map(|round| Backoff::default().ceiling(round).as_millis());
        assert_eq!(ceilings.collect::<Vec<_>>(), [200, 400, 800, 1600, 3200, 5000, 5000]);
        let slow = Backoff { base: Duration::from_nanos(1), max: Duration::from_hours(10) };
        assert_eq!(slow.ceiling(40), Duration::from_nanos(1 << 40), "a small base is doubled as often as it takes");
    }

    proptest! {
        #[test]
        fn the_ceiling_is_that_of_exact_arithmetic(backoff in backoff(), round in prop_oneof![0_u32..70, any::<u32>()]) {
            let factor = 2_u128.pow(round.min(64));
            let exact = backoff.base.as_nanos().saturating_mul(factor).min(backoff.max.as_nanos());
            prop_assert_eq!(backoff.ceiling(round).as_nanos(), exact.min(u128::from(u64::MAX)));
        }

        #[test]
        fn a_delay_is_within_bounds(backoff in backoff(), round: u32, random: u64) {
            prop_assert!(backoff.delay(round, random) <= backoff.ceiling(round));
            prop_assert!(backoff.delay(round, random) <= backoff.max);
        }

        #[test]
        fn the_whole_range_is_reached_evenly(backoff in backoff(), round: u32, random: u64) {
            let ceiling = backoff.ceiling(round);
            prop_assert_eq!(backoff.delay(round, 0), Duration::ZERO);
            prop_assert_eq!(backoff.delay(round, u64::MAX), ceiling);
            let (delay, share) = (backoff.delay(round, random).as_nanos(), ceiling.as_nanos().saturating_mul(u128::from(random)) >> 64);
            prop_assert!(delay.abs_diff(share) <= 1, "{delay} is not {random} of 2^64 parts of {ceiling:?}");
        }
    }
}
