//! How long answers have been lately.
//!
//! A call that does not say how many tokens its answer may have is expected to be like those before it. The mean gives each
//! new answer an eighth of the weight and forgets the others by as much (the gain of RFC 6298 for round-trip times), so that
//! a few dozen answers make it and a single long one does not.

use std::sync::atomic::{AtomicU64, Ordering};

/// An answer's share of the new mean, as a power of two: an eighth.
const GAIN: u32 = 3;

/// Binary places behind the point, so that the mean reaches what all answers have in common.
const FRACTION: u32 = 8;

/// No answer is longer, for the mean: no model writes so much, and an upstream that counts wrongly does no lasting harm.
const MOST_TOKENS: u64 = 1 << 20;

/// There were no answers yet. No mean is that large.
const NONE: u64 = u64::MAX;

/// The mean of recent answers' tokens, for many threads without a lock.
#[derive(Debug)]
pub struct RecentMean(AtomicU64);

impl Default for RecentMean {
    fn default() -> Self {
        Self(AtomicU64::new(NONE))
    }
}

impl RecentMean {
    /// Takes an answer into account.
    pub fn note(&self, tokens: u64) {
        let latest = tokens.min(MOST_TOKENS) << FRACTION;
        let moved = |mean: u64| match mean {
            NONE => latest,
            // Rounded towards the latest, so that nothing but the latest is where it comes to rest.
            _ if mean < latest => mean + (latest - mean).div_ceil(1 << GAIN),
            _ => mean - (mean - latest).div_ceil(1 << GAIN),
        };
        self.0.update(Ordering::Relaxed, Ordering::Relaxed, moved);
    }

    /// The mean, rounded to whole tokens. None before the first answer.
    pub fn get(&self) -> Option<u64> {
        let mean = self.0.load(Ordering::Relaxed);
        (mean != NONE).then(|| (mean + (1 << (FRACTION - 1))) >> FRACTION)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_answer_is_the_mean_and_later_ones_move_it() {
        let mean = RecentMean::default();
        assert_eq!(mean.get(), None);
        mean.note(800);
        assert_eq!(mean.get(), Some(800));
        mean.note(0);
        assert_eq!(mean.get(), Some(700), "an eighth of the way");
        mean.note(1_500);
        assert_eq!(mean.get(), Some(800));
        mean.note(u64::MAX);
        assert_eq!(mean.get(), Some(800 - 100 + (1 << 17)), "an answer has a million tokens at most");
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let mean = RecentMean::default();
        mean.note(1 << 19);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10).for_each(|_| mean.note(0)));
            }
        });
        let alone = RecentMean::default();
        alone.note(1 << 19);
        (0..40).for_each(|_| alone.note(0));
        assert_eq!(mean.get(), alone.get());
    }

    proptest! {
        #[test]
        fn the_mean_is_among_what_it_is_of(answers in prop::collection::vec(0_u64..200_000, 1..50)) {
            let mean = RecentMean::default();
            for tokens in &answers {
                mean.note(*tokens);
            }
            let (least, most) = (answers.iter().min().copied(), answers.iter().max().copied());
            prop_assert!(least <= mean.get() && mean.get() <= most);
        }

        #[test]
        fn what_all_answers_have_in_common_is_reached(first in 0_u64..1_000_000, then in 0_u64..1_000_000) {
            let mean = RecentMean::default();
            mean.note(first);
            (0..200).for_each(|_| mean.note(then));
            prop_assert_eq!(mean.get(), Some(then));
        }
    }
}
