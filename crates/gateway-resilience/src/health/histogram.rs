//! The distribution of times over the last minute or two.
//!
//! To hedge the slowest attempts one must know what is slow, which an average does not tell. The buckets grow with what they
//! hold, sixteen to each power of two as in Gil Tene's `HdrHistogram`, so the error is relative: at most a sixteenth from a
//! hundredth of a second to an hour. Counts belong to minutes, and the last two are asked: enough to have samples, short
//! enough to follow the upstream through the day. It takes about 5 KiB for a target.

use std::fmt;
use std::time::Duration;

use crate::epoch::nanos;
use crate::tally::Tally;

/// Fewer samples than this say nothing about the slowest.
const MIN_SAMPLES: u32 = 20;

/// The unit of time, as a power of two of nanoseconds: about a millisecond.
const UNIT_BITS: u32 = 20;

/// Times are told apart by this many bits after the first.
const STEP_BITS: u32 = 4;

/// Longer times, of 2^22 units or 73 minutes, count as this.
const MAX_UNITS: u64 = (1 << 22) - 1;

/// As many as there are for times up to [`MAX_UNITS`].
const BUCKETS: usize = bucket(MAX_UNITS) + 1;

/// How often each length of time was seen.
pub(super) struct Histogram {
    /// For each bucket, the counts of an even and an odd minute.
    buckets: Box<[[Tally; 2]]>,
}

impl Histogram {
    /// Counts a time in the minute of this number.
    pub(super) fn observe(&self, elapsed: Duration, minute: u64) {
        let units = (nanos(elapsed) >> UNIT_BITS).min(MAX_UNITS);
        if let Some([even, odd]) = self.buckets.get(bucket(units)) {
            if minute.is_multiple_of(2) { even } else { odd }.add(minute);
        }
    }

    /// The time that this share of the samples do not exceed, of this minute and the one before. Beyond 0 and 1 it is that
    /// of the least and the greatest sample.
    pub(super) fn quantile(&self, quantile: f64, minute: u64) -> Option<Duration> {
        let minutes = minute.saturating_sub(1)..=minute;
        let count = |[even, odd]: &[Tally; 2]| even.count(&minutes).saturating_add(odd.count(&minutes));
        let total = self.buckets.iter().map(count).fold(0, u32::saturating_add);
        if total < MIN_SAMPLES {
            return None;
        }
        let (mut seen, mut found) = (0_u32, None);
        for (index, count) in self.buckets.iter().map(count).enumerate().filter(|(_, count)| *count > 0) {
            seen = seen.saturating_add(count);
            found = Some(end(index));
            if f64::from(seen) / f64::from(total) >= quantile {
                break;
            }
        }
        found
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Default::default()).collect() }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hundreds of counts would drown whatever else is shown.
        f.debug_struct("Histogram").finish_non_exhaustive()
    }
}

/// The bucket of a time: its highest bits, and how many lower ones were left out.
#[expect(clippy::cast_possible_truncation, reason = "what is not left out are five bits")]
const fn bucket(units: u64) -> usize {
    let left_out = shift(units);
    ((left_out as usize) << STEP_BITS) + (units >> left_out) as usize
}

/// How many of a time's lower bits do not matter.
const fn shift(units: u64) -> u32 {
    (u64::BITS - units.leading_zeros()).saturating_sub(STEP_BITS + 1)
}

/// Where a bucket ends: above all that it holds.
fn end(index: usize) -> Duration {
    let left_out = (index >> STEP_BITS).saturating_sub(1);
    let units = (index - (left_out << STEP_BITS)) as u64 + 1;
    Duration::from_nanos(units << left_out << UNIT_BITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNIT: Duration = Duration::from_nanos(1 << UNIT_BITS);

    #[test]
    fn buckets_lie_side_by_side() {
        let mut begin = Duration::ZERO;
        for index in 0..BUCKETS {
            let units = u64::try_from(begin.as_nanos()).unwrap() >> UNIT_BITS;
            assert_eq!(bucket(units), index, "at {begin:?}");
            let width = end(index).saturating_sub(begin);
            assert!(width == UNIT || width <= begin / 16, "{width:?} at {begin:?}");
            begin = end(index);
        }
        assert_eq!(begin, UNIT * (1 << 22));
    }

    #[test]
    fn few_samples_say_nothing() {
        let histogram = Histogram::default();
        (1..MIN_SAMPLES).for_each(|_| histogram.observe(UNIT, 5));
        assert_eq!(histogram.quantile(0.5, 5), None);
        histogram.observe(UNIT, 5);
        assert_eq!(histogram.quantile(0.5, 5), Some(UNIT * 2));
    }

    #[test]
    fn two_minutes_are_remembered() {
        let histogram = Histogram::default();
        (0..20).for_each(|_| histogram.observe(Duration::from_secs(1), 0));
        (0..5).for_each(|_| histogram.observe(Duration::from_mins(1), 1));
        let found = [0, 1, 2].map(|minute| histogram.quantile(0.8, minute).map(|it| it.as_secs()));
        assert_eq!(found, [Some(1), Some(1), None]);
    }

    #[test]
    fn absurd_times_and_shares_are_bounded() {
        let histogram = Histogram::default();
        (0..19).for_each(|_| histogram.observe(Duration::ZERO, 0));
        histogram.observe(Duration::MAX, 0);
        for (quantile, expected) in
            [(-1.0, UNIT), (0.0, UNIT), (0.95, UNIT), (0.96, UNIT * (1 << 22)), (7.0, UNIT * (1 << 22))]
        {
            assert_eq!(histogram.quantile(quantile, 0), Some(expected), "{quantile}");
        }
        assert!(histogram.quantile(f64::NAN, 0).is_some());
    }

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_samples_within_a_bucket(
            millis in prop::collection::vec((0_u32..22, any::<u64>()).prop_map(|(shift, it)| it % (1 << shift)), 20..300),
            percent in 1_u32..=100,
        ) {
            let histogram = Histogram::default();
            for it in &millis {
                histogram.observe(Duration::from_millis(*it), 3);
            }
            let mut sorted = millis;
            sorted.sort_unstable();
            let rank = (sorted.len() * percent as usize).div_ceil(100);
            let exact = Duration::from_millis(sorted[rank - 1]);
            let found = histogram.quantile(f64::from(percent) / 100.0, 3).unwrap();
            prop_assert!(exact < found && found <= exact + (exact / 16).max(UNIT), "{found:?} for {exact:?}");
        }
    }
}
