//! How long a target takes, with a memory that fears the worst.
//!
//! The peak-sensitive moving average of Finagle and linkerd ("peak EWMA"): it jumps to any sample above it at once, because a
//! target that has become slow must be avoided now, and comes down slowly, because a single fast answer proves little. With
//! no samples it comes down too, so that a target that is avoided is tried again.
//!
//! An average that decays is known by two numbers, its value and the moment that it had it, which do not fit one atomic. But
//! all the pairs on one curve `value * e^(-time / tau)` share a number that tells the curve from others, the logarithm of
//! where it crosses the epoch: `ln(value) + time / tau`. That is what is kept. After a year of seconds it is still exact to
//! one part in a billion.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::epoch::Epoch;

/// The time in which the weight of what was seen falls to 1/e, in seconds. Finagle's and linkerd's default.
const TAU: f64 = 10.0;

/// A moving average of durations that rises at once and falls slowly.
#[derive(Debug)]
pub(super) struct PeakEwma {
    epoch: Epoch,
    /// The curve that the average is on, as the bits of a float. Not a number before the first sample.
    curve: AtomicU64,
    /// When the latest sample came, in nanoseconds of the epoch. Weighs the next one; if two come at once, one of them
    /// may be weighed by the moment of the other, which lies next to its own.
    latest: AtomicU64,
}

impl PeakEwma {
    /// Without samples.
    pub(super) fn new(now: Instant) -> Self {
        Self { epoch: Epoch::new(now), curve: AtomicU64::new(f64::NAN.to_bits()), latest: AtomicU64::new(0) }
    }

    /// Takes in a sample.
    ///
    /// A lower one than the average weighs the more the longer there was none.
    pub(super) fn observe(&self, sample: Duration, now: Instant) {
        let (sample, nanos) = (sample.as_secs_f64(), self.epoch.nanos(now));
        let since = nanos.saturating_sub(self.latest.fetch_max(nanos, Ordering::Relaxed));
        let (time, since) = (in_taus(nanos), in_taus(since));
        let keep = (-since).exp();
        self.curve.update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            let before = (f64::from_bits(bits) - (time - since)).exp();
            let value = if sample < before { before * keep + sample * (1.0 - keep) } else { sample };
            (value.ln() + time).to_bits()
        });
    }

    /// The average at a moment; none before the first sample.
    pub(super) fn at(&self, now: Instant) -> Option<Duration> {
        let curve = f64::from_bits(self.curve.load(Ordering::Relaxed));
        let value = (curve - in_taus(self.epoch.nanos(now))).exp();
        (!curve.is_nan()).then(|| Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX))
    }
}

fn in_taus(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() / TAU
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::epoch::any_instant;

    fn assert_near(found: Option<Duration>, expected: f64) {
        let found = found.unwrap().as_secs_f64();
        assert!((found - expected).abs() <= 1e-6 * expected + 2e-9, "{found} is not {expected}");
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_peak_counts_at_once_and_fades() {
        let start = any_instant();
        let ewma = PeakEwma::new(start);
        assert_eq!(ewma.at(start), None);
        ewma.observe(seconds(0.1), start);
        assert_near(ewma.at(start), 0.1);
        ewma.observe(seconds(4.0), start);
        assert_near(ewma.at(start), 4.0);
        assert_near(ewma.at(start + seconds(10.0)), 4.0 / std::f64::consts::E);
        assert_near(ewma.at(start + seconds(1e6)), 0.0);
    }

    #[test]
    fn a_lower_sample_weighs_by_the_time_since_the_last() {
        let start = any_instant();
        let ewma = PeakEwma::new(start);
        ewma.observe(seconds(4.0), start);
        ewma.observe(seconds(1.0), start);
        assert_near(ewma.at(start), 4.0);
        let keep = (-0.5_f64).exp();
        ewma.observe(seconds(1.0), start + seconds(5.0));
        assert_near(ewma.at(start + seconds(5.0)), 4.0 * keep + (1.0 - keep));
    }

    #[test]
    fn a_sample_of_nothing_is_a_sample() {
        let start = any_instant();
        let ewma = PeakEwma::new(start);
        ewma.observe(Duration::ZERO, start);
        assert_eq!(ewma.at(start), Some(Duration::ZERO));
        ewma.observe(seconds(2.0), start + seconds(1.0));
        assert_near(ewma.at(start + seconds(1.0)), 2.0);
        ewma.observe(Duration::MAX, start + seconds(1.0));
        assert!(ewma.at(start).is_some(), "absurd, but no panic");
    }

    #[test]
    fn it_is_exact_after_years() {
        let start = any_instant();
        let ewma = PeakEwma::new(start);
        let later = start + Duration::from_hours(3 * 365 * 24);
        ewma.observe(seconds(1.0), start);
        ewma.observe(seconds(0.25), later);
        assert_near(ewma.at(later), 0.25);
        assert_near(ewma.at(later + seconds(10.0)), 0.25 / std::f64::consts::E);
    }

    proptest! {
        #[test]
        fn it_is_between_the_decayed_and_the_largest(samples in prop::collection::vec((0_u64..20_000, 1_u64..60_000), 1..50)) {
            let start = any_instant();
            let (ewma, mut now, mut model) = (PeakEwma::new(start), start, None::<f64>);
            for (gap, sample) in samples {
                let (sample, gap) = (Duration::from_millis(sample), Duration::from_millis(gap));
                now += gap;
                let keep = (-gap.as_secs_f64() / TAU).exp();
                ewma.observe(sample, now);
                let sample = sample.as_secs_f64();
                let value = model.map_or(sample, |before| sample.max(before * keep + sample * (1.0 - keep)));
                model = Some(value);
                assert_near(ewma.at(now), value);
                prop_assert!(ewma.at(now) >= ewma.at(now + Duration::from_secs(1)), "it never rises by itself");
            }
        }
    }
}
