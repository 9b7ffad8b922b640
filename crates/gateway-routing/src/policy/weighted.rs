//! Calls in proportion to weights, blind to load.

use std::sync::Arc;

use gateway_call::Call;
use gateway_extension::{BuildError, Extension};

use super::{Candidate, Draw, NoSettings, RoutingPolicy};
use crate::Ranking;
use crate::timetable::each_due;

/// Each target in exact proportion to its weight over every cycle, spread as evenly as whole calls allow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weighted;

impl Extension<dyn RoutingPolicy> for Weighted {
    const NAME: &'static str = "weighted";
    type Config = NoSettings;

    fn build(_: NoSettings) -> Result<Arc<dyn RoutingPolicy>, BuildError> {
        Ok(Arc::new(Self))
    }
}

impl RoutingPolicy for Weighted {
    fn rank(&self, _: &Call, draw: Draw, candidates: &[Candidate], ranking: &mut Ranking) {
        each_due(draw.turn, candidates, |_| true, |index| ranking.push(index));
    }

    fn heeds_latency(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::tests::{idle, turn};

    fn ranking(weights: &[u32], number: u64) -> Vec<usize> {
        let candidates: Vec<_> = weights.iter().map(|weight| Candidate { weight: *weight, ..idle() }).collect();
        turn(&Weighted, number, &candidates)
    }

    #[test]
    fn heavier_targets_are_spread_not_bunched() {
        let firsts: Vec<_> = (0..6).map(|turn| ranking(&[2, 1], turn)[0]).collect();
        assert_eq!(firsts, [0, 1, 0, 0, 1, 0]);
        let firsts: Vec<_> = (0..7).map(|turn| ranking(&[5, 1, 1], turn)[0]).collect();
        assert_eq!(firsts, [0, 0, 0, 1, 2, 0, 0]);
    }

    proptest! {
        #[test]
        fn proportions_are_exact_over_every_cycle(
            weights in prop::collection::vec(1_u32..40, 1..9),
            start in 0_u64..10_000,
        ) {
            let cycle: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let mut counts = vec![0_u32; weights.len()];
            for turn in start..start + cycle {
                counts[ranking(&weights, turn)[0]] += 1;
            }
            prop_assert_eq!(counts, weights);
        }

        #[test]
        fn no_target_runs_far_ahead_or_behind(weights in prop::collection::vec(1_u32..20, 1..6), len in 1_u64..60) {
            let cycle: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let mut counts = vec![0_u64; weights.len()];
            for turn in 0..len {
                counts[ranking(&weights, turn)[0]] += 1;
            }
            for (count, weight) in counts.iter().zip(&weights) {
                // |count - len * weight / cycle| <= number of targets / 2 + 1, in whole numbers.
                let (scaled, ideal) = (count * cycle, len * u64::from(*weight));
                let slack = cycle * (weights.len() as u64 + 2) / 2;
                prop_assert!(scaled.abs_diff(ideal) <= slack, "{counts:?} of {weights:?} after {len}");
            }
        }
    }
}
