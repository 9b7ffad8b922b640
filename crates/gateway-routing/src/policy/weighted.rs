//! Smooth weighted round-robin without state.
//!
//! nginx's smooth round-robin keeps a running weight per target, which would be a lock or a race on the path of every
//! call. The same evenness follows from a timetable: in a cycle as long as the sum of the weights, a target of weight
//! `w` is due at the moments `(2k + 1) / 2w`, k = 0..w (the divisor method of Webster and Sainte-Laguë). The turn's
//! number picks an entry of the timetable; the entries that follow rank the other targets.

use std::cmp::Ordering;
use std::sync::Arc;

use gateway_call::Call;
use gateway_extension::{BuildError, Extension};

use super::{Candidate, RoutingPolicy};
use crate::{MAX_TARGETS, Ranking};

/// Each target in exact proportion to its weight over every cycle, spread as evenly as whole calls allow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weighted;

/// [`Weighted`] needs no settings.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedConfig {}

impl Extension<dyn RoutingPolicy> for Weighted {
    const NAME: &'static str = "weighted";
    type Config = WeightedConfig;

    fn build(_: WeightedConfig) -> Result<Arc<dyn RoutingPolicy>, BuildError> {
        Ok(Arc::new(Self))
    }
}

impl RoutingPolicy for Weighted {
    fn rank(&self, _: &Call, turn: u64, candidates: &[Candidate], ranking: &mut Ranking) {
        let mut timetable = Timetable::at(turn, candidates);
        while let Some(index) = timetable.next_new() {
            ranking.push(index);
        }
    }
}

/// A place in the timetable: how often each target has been due so far.
struct Timetable<'a> {
    candidates: &'a [Candidate],
    served: [u64; MAX_TARGETS],
    ranked: [bool; MAX_TARGETS],
}

/// The moment of a target's next turn, as the fraction `odd / (2 * weight)` of a cycle.
#[derive(Clone, Copy)]
struct Due {
    odd: u64,
    weight: u64,
    index: usize,
}

impl Due {
    /// Earlier first; at the same moment, the target listed first.
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) =
            (u128::from(self.odd) * u128::from(other.weight), u128::from(other.odd) * u128::from(self.weight));
        left.cmp(&right).then(self.index.cmp(&other.index))
    }
}

impl<'a> Timetable<'a> {
    /// The place at which `turn` entries of the current cycle have been used.
    fn at(turn: u64, candidates: &'a [Candidate]) -> Self {
        let candidates = &candidates[..candidates.len().min(MAX_TARGETS)];
        // At most 64 weights of 32 bits each: 38 bits, whose square still fits 128.
        let total: u64 = candidates.iter().map(|candidate| weight(*candidate)).sum();
        let used = turn.checked_rem(total).unwrap_or(0);
        let mut table = Self { candidates, served: [0; MAX_TARGETS], ranked: [false; MAX_TARGETS] };
        // By this moment a target was due about `weight * used / total` times. Rounding down leaves fewer than one
        // entry per target to walk, instead of all those since the cycle began.
        for (served, candidate) in table.served.iter_mut().zip(candidates) {
            let due = (u128::from(weight(*candidate)) * u128::from(used)).checked_div(u128::from(total)).unwrap_or(0);
            *served = u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(1);
        }
        let estimated: u64 = table.served.iter().sum();
        for _ in estimated..used {
            if let Some(due) = table.next_due(|_| true) {
                table.served[due.index] += 1;
            }
        }
        table
    }

    /// The next target in the timetable that has not been ranked yet.
    fn next_new(&mut self) -> Option<usize> {
        let ranked = self.ranked;
        let due = self.next_due(|index| !ranked[index])?;
        self.ranked[due.index] = true;
        Some(due.index)
    }

    fn next_due(&self, wanted: impl Fn(usize) -> bool) -> Option<Due> {
        self.candidates
            .iter()
            .enumerate()
            .filter(|(index, _)| wanted(*index))
            .map(|(index, candidate)| Due { odd: 2 * self.served[index] + 1, weight: weight(*candidate), index })
            .min_by(Due::cmp)
    }
}

fn weight(candidate: Candidate) -> u64 {
    u64::from(candidate.weight.max(1))
}

#[cfg(test)]
mod tests {
    use gateway_call::{Endpoint, Tightening};
    use proptest::prelude::*;

    use super::*;

    fn call() -> Call {
        Call {
            endpoint: Endpoint::ChatCompletions,
            models: vec!["m".into()],
            stream: false,
            tightening: Tightening::default(),
            tags: Vec::new(),
        }
    }

    fn ranking(weights: &[u32], turn: u64) -> Vec<usize> {
        let candidates: Vec<_> = weights.iter().map(|weight| Candidate { weight: *weight }).collect();
        let mut ranking = Ranking::new();
        Weighted.rank(&call(), turn, &candidates, &mut ranking);
        ranking.iter().collect()
    }

    #[test]
    fn heavier_targets_are_spread_not_bunched() {
        let firsts: Vec<_> = (0..6).map(|turn| ranking(&[2, 1], turn)[0]).collect();
        assert_eq!(firsts, [0, 1, 0, 0, 1, 0]);
        let firsts: Vec<_> = (0..7).map(|turn| ranking(&[5, 1, 1], turn)[0]).collect();
        assert_eq!(firsts, [0, 0, 0, 1, 2, 0, 0]);
    }

    #[test]
    fn no_candidates_give_no_ranking() {
        assert!(ranking(&[], 3).is_empty());
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

        #[test]
        fn every_target_is_ranked_once(weights in prop::collection::vec(prop_oneof![1_u32..1000, Just(u32::MAX)], 1..=64), turn in any::<u64>()) {
            let mut order = ranking(&weights, turn);
            order.sort_unstable();
            prop_assert_eq!(order, (0..weights.len()).collect::<Vec<_>>());
        }
    }
}
