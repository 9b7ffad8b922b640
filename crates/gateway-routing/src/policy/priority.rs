//! Tiers: a reserve serves only when those before it cannot.

use std::sync::Arc;

use gateway_call::Call;
use gateway_extension::{BuildError, Extension};

use super::{Candidate, Draw, NoSettings, RoutingPolicy};
use crate::Ranking;
use crate::timetable::each_due;

/// The tiers from the lowest number to the highest, each balanced by weight within itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Priority;

impl Extension<dyn RoutingPolicy> for Priority {
    const NAME: &'static str = "priority";
    type Config = NoSettings;

    fn build(_: NoSettings) -> Result<Arc<dyn RoutingPolicy>, BuildError> {
        Ok(Arc::new(Self))
    }
}

impl RoutingPolicy for Priority {
    fn rank(&self, _: &Call, draw: Draw, candidates: &[Candidate], ranking: &mut Ranking) {
        let mut tier = candidates.iter().map(|candidate| candidate.priority).min();
        while let Some(number) = tier {
            // A timetable of the tier alone: in one of all targets, the entries of other tiers would fall to whoever
            // comes next, and the weights would no longer be exact.
            each_due(draw.turn, candidates, |it| it.priority == number, |index| ranking.push(index));
            tier = candidates.iter().map(|candidate| candidate.priority).filter(|other| *other > number).min();
        }
    }

    fn are_interchangeable(&self, first: &Candidate, other: &Candidate) -> bool {
        first.priority == other.priority
    }

    fn heeds_latency(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::tests::{any_candidates, idle, turn};

    fn tiered(tiers: &[(u32, u32)]) -> Vec<Candidate> {
        tiers.iter().map(|(priority, weight)| Candidate { priority: *priority, weight: *weight, ..idle() }).collect()
    }

    #[test]
    fn lower_numbers_go_first_wherever_they_are_listed() {
        let candidates = tiered(&[(9, 1), (0, 1), (u32::MAX, 1), (9, 5), (1, 1)]);
        assert_eq!(turn(&Priority, 0, &candidates), [1, 4, 3, 0, 2]);
    }

    proptest! {
        #[test]
        fn tiers_stand_in_order(number: u64, candidates in any_candidates()) {
            let order = turn(&Priority, number, &candidates);
            prop_assert!(order.is_sorted_by_key(|index| candidates[*index].priority));
        }

        #[test]
        fn weights_are_exact_within_every_tier(
            tiers in prop::collection::vec((0_u32..3, 1_u32..12), 1..8),
            start in 0_u64..10_000,
        ) {
            let candidates = tiered(&tiers);
            for tier in 0..3 {
                let members: Vec<_> = (0..tiers.len()).filter(|index| tiers[*index].0 == tier).collect();
                let cycle: u64 = members.iter().map(|index| u64::from(tiers[*index].1)).sum();
                let mut counts = vec![0; tiers.len()];
                for number in start..start + cycle {
                    let order = turn(&Priority, number, &candidates);
                    let best = order.into_iter().find(|index| members.contains(index)).unwrap();
                    counts[best] += 1;
                }
                for index in members {
                    prop_assert_eq!(counts[index], tiers[index].1);
                }
            }
        }
    }
}
