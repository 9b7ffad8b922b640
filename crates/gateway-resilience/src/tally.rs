//! A count per period in one atomic.
//!
//! Counters that are reset when a period ends need a lock, or lose what is counted while they are being reset. Here the
//! period is part of the value, so that whoever counts first in a new one starts it, in the same step.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often something happened in the latest period in which it did.
///
/// The upper 32 bits hold the period, which is enough for seconds over 136 years, and the lower 32 bits the count.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    /// Counts one more in a period. What belongs to a period before the latest is not counted any more.
    pub(crate) fn add(&self, period: u64) {
        let period = u32::try_from(period).unwrap_or(u32::MAX);
        let count_one = |packed| {
            let (latest, count) = unpack(packed);
            match latest.cmp(&period) {
                Less => Some(pack(period, 1)),
                Equal => Some(pack(period, count.saturating_add(1))),
                Greater => None,
            }
        };
        // An error says that the latest period is a later one.
        let _ = self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, count_one);
    }

    /// The count, if its period is among these.
    pub(crate) fn count(&self, periods: &RangeInclusive<u64>) -> u32 {
        let (period, count) = unpack(self.0.load(Ordering::Relaxed));
        if periods.contains(&u64::from(period)) { count } else { 0 }
    }
}

fn pack(period: u32, count: u32) -> u64 {
    u64::from(period) << 32 | u64::from(count)
}

#[expect(clippy::cast_possible_truncation, reason = "each half is wanted for itself")]
fn unpack(packed: u64) -> (u32, u32) {
    ((packed >> 32) as u32, packed as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_period_starts_anew_and_an_earlier_one_is_over() {
        let tally = Tally::default();
        assert_eq!(tally.count(&(0..=9)), 0);
        for period in [3, 3, 2, 3] {
            tally.add(period);
        }
        assert_eq!((tally.count(&(0..=2)), tally.count(&(3..=3)), tally.count(&(4..=9))), (0, 3, 0));
        tally.add(13);
        assert_eq!((tally.count(&(3..=12)), tally.count(&(4..=13))), (0, 1));
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| tally.add(1)));
            }
        });
        assert_eq!(tally.count(&(1..=1)), 4000);
    }
}
