//! The target that is doing the least.

use std::sync::Arc;

use gateway_call::Call;
use gateway_extension::{BuildError, Extension};

use super::{Candidate, Draw, NoSettings, RoutingPolicy};
use crate::Ranking;
use crate::timetable::each_due;

/// The target with the fewest calls in flight for its weight; among equals, as [`Weighted`](super::Weighted) would. So does
/// nginx's `least_conn`.
///
/// Priorities have no say.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeastInFlight;

impl Extension<dyn RoutingPolicy> for LeastInFlight {
    const NAME: &'static str = "least_in_flight";
    type Config = NoSettings;

    fn build(_: NoSettings) -> Result<Arc<dyn RoutingPolicy>, BuildError> {
        Ok(Arc::new(Self))
    }
}

impl RoutingPolicy for LeastInFlight {
    fn rank(&self, _: &Call, draw: Draw, candidates: &[Candidate], ranking: &mut Ranking) {
        each_due(draw.turn, candidates, |_| true, |index| ranking.push(index));
        // Compares `in_flight / share` without dividing; two numbers of 32 bits.
        let load = |one: &Candidate, other: &Candidate| u64::from(one.in_flight) * other.share();
        ranking.sort_from(0, |left, right| {
            let (left, right) = (&candidates[left], &candidates[right]);
            load(left, right).cmp(&load(right, left))
        });
    }

    fn heeds_latency(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Weighted;
    use crate::policy::tests::{any_candidates, idle, turn};

    #[test]
    fn calls_in_flight_are_weighed() {
        let busy = |in_flight, weight| Candidate { weight, in_flight, ..idle() };
        let table: [(&[Candidate], &[usize]); 4] = [
            (&[busy(2, 1), busy(1, 1), busy(0, 1)], &[2, 1, 0]),
            (&[busy(3, 1), busy(5, 2)], &[1, 0]),
            (&[busy(3, 1), busy(6, 2), busy(2, 1)], &[2, 1, 0]),
            (&[busy(u32::MAX, u32::MAX), busy(0, 1), busy(u32::MAX, 1)], &[1, 0, 2]),
        ];
        for (candidates, expected) in table {
            assert_eq!(turn(&LeastInFlight, 0, candidates), expected, "{candidates:?}");
        }
    }

    #[test]
    fn calls_that_stay_fill_the_targets_by_weight() {
        let mut candidates = [4, 2, 1].map(|weight| Candidate { weight, ..idle() });
        for number in 0..70 {
            let first = turn(&LeastInFlight, number, &candidates)[0];
            candidates[first].in_flight += 1;
        }
        assert_eq!(candidates.map(|candidate| candidate.in_flight), [40, 20, 10]);
    }

    proptest! {
        #[test]
        fn the_first_has_the_least_and_the_rest_follow(number: u64, candidates in any_candidates()) {
            let order = turn(&LeastInFlight, number, &candidates);
            let is_at_most = |left: &Candidate, right: &Candidate| {
                u128::from(left.in_flight) * u128::from(right.weight) <= u128::from(right.in_flight) * u128::from(left.weight)
            };
            prop_assert!(order.windows(2).all(|pair| is_at_most(&candidates[pair[0]], &candidates[pair[1]])));
            prop_assert!(candidates.iter().all(|any| is_at_most(&candidates[order[0]], any)));
        }

        #[test]
        fn idle_targets_are_ranked_by_weight(number: u64, mut candidates in any_candidates()) {
            for candidate in &mut candidates {
                candidate.in_flight = 0;
            }
            prop_assert_eq!(turn(&LeastInFlight, number, &candidates), turn(&Weighted, number, &candidates));
        }
    }
}
