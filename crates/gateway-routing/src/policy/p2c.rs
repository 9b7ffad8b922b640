//! The better of two targets drawn at random.
//!
//! Two random choices come close to knowing the best of all (Mitzenmacher, "The Power of Two Choices in Randomized Load
//! Balancing", 2001), and unlike the best of all they do not send every gateway of a fleet to the same target at once.
//! What a target costs is as in finagle's and linkerd's `PeakEwma`: the time to its first content, times the calls that
//! would then be in flight there.

use std::sync::Arc;

use gateway_call::Call;
use gateway_extension::{BuildError, Extension};

use super::{Candidate, Draw, NoSettings, RoutingPolicy};
use crate::Ranking;

/// Of two targets drawn at random the one that costs less, then the other, then the rest from cheap to dear.
///
/// Weights and priorities have no say: measured speed stands for capacity.
#[derive(Debug, Clone, Copy, Default)]
pub struct PowerOfTwoChoices;

impl Extension<dyn RoutingPolicy> for PowerOfTwoChoices {
    const NAME: &'static str = "p2c";
    type Config = NoSettings;

    fn build(_: NoSettings) -> Result<Arc<dyn RoutingPolicy>, BuildError> {
        Ok(Arc::new(Self))
    }
}

impl RoutingPolicy for PowerOfTwoChoices {
    fn rank(&self, _: &Call, draw: Draw, candidates: &[Candidate], ranking: &mut Ranking) {
        let cost = |index: usize| Cost::of(&candidates[index]);
        if let Some((first, second)) = two_of(candidates.len(), draw.random) {
            let is_second_better = cost(second) < cost(first);
            ranking.push(if is_second_better { second } else { first });
            ranking.push(if is_second_better { first } else { second });
        }
        let drawn = ranking.len();
        (0..candidates.len()).for_each(|index| ranking.push(index));
        ranking.sort_from(drawn, |left, right| cost(left).cmp(&cost(right)));
    }
}

/// What another call would cost, cheap to dear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// Nothing is known and nothing is under way: one call finds out.
    Untried,
    /// Nanoseconds to the first content, times the calls in flight with this one; fits, at 94 bits times 33.
    Measured(u128),
    /// Nothing is known yet, but somebody is finding out; with more calls in flight, dearer.
    Awaited(u32),
}

impl Cost {
    fn of(candidate: &Candidate) -> Self {
        match (candidate.latency, candidate.in_flight) {
            (Some(latency), in_flight) => Self::Measured(latency.as_nanos() * (u128::from(in_flight) + 1)),
            (None, 0) => Self::Untried,
            (None, in_flight) => Self::Awaited(in_flight),
        }
    }
}

/// Two different numbers below `len`, from random bits; None if there are no two.
fn two_of(len: usize, random: u64) -> Option<(usize, usize)> {
    let others = len.checked_sub(1).filter(|others| *others > 0)?;
    let first = below(len, random >> 32);
    let second = below(others, random & u64::from(u32::MAX));
    // The others are all but the first, so whoever stands behind it has a number one higher.
    Some((first, second + usize::from(second >= first)))
}

/// A number below `len`, from 32 random bits; by multiplication, which is even to within `len / 2^32` (Lemire, "Fast
/// Random Integer Generation in an Interval", 2019).
fn below(len: usize, half: u64) -> usize {
    usize::try_from((half * len as u64) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::identity::mix;
    use crate::policy::tests::{any_candidate, any_candidates, idle, rank};

    fn ranking(random: u64, candidates: &[Candidate]) -> Vec<usize> {
        rank(&PowerOfTwoChoices, Draw { turn: 0, random }, candidates)
    }

    fn measured(millis: u64, in_flight: u32) -> Candidate {
        Candidate { latency: Some(Duration::from_millis(millis)), in_flight, ..idle() }
    }

    #[test]
    fn costs_compare() {
        let table = [
            (idle(), measured(0, 0), "a target without a sample is tried first"),
            (measured(100, 0), measured(101, 0), "the faster one"),
            (measured(100, 1), measured(201, 0), "a call that would be the second counts twice"),
            (measured(199, 0), measured(100, 1), "and no less"),
            (measured(0, 5), measured(1, 0), "nothing is cheaper than no time"),
            (measured(60_000, 999), Candidate { in_flight: 1, ..idle() }, "any sample beats one that is awaited"),
            (Candidate { in_flight: 1, ..idle() }, Candidate { in_flight: 2, ..idle() }, "then the less crowded"),
        ];
        for (cheap, dear, why) in table {
            assert!(Cost::of(&cheap) < Cost::of(&dear), "{why}");
        }
    }

    #[test]
    fn every_pair_is_drawn_equally_often() {
        let mut counts = std::collections::BTreeMap::new();
        for number in 0..20_000 {
            *counts.entry(two_of(5, mix(number)).unwrap()).or_insert(0_i32) += 1;
        }
        assert_eq!(counts.len(), 20, "all ordered pairs of five");
        // 1000 expected each; five standard deviations are 154.
        assert!(counts.values().all(|count| (count - 1000).abs() < 154), "{counts:?}");
    }

    #[test]
    fn everybody_gets_calls_and_the_fast_ones_more() {
        let latencies = [50, 100, 200, 400, 800];
        let mut candidates = latencies.map(|millis| measured(millis, 0));
        for number in 0..2_000 {
            candidates[ranking(mix(number), &candidates)[0]].in_flight += 1;
        }
        let served = candidates.map(|candidate| candidate.in_flight);
        assert!(served.iter().all(|calls| *calls > 0), "{served:?}");
        assert!(served.is_sorted_by(|left, right| left > right), "{served:?}");
    }

    #[test]
    fn a_target_without_samples_is_tried_once_and_not_flooded() {
        let mut candidates = [measured(50, 3), measured(80, 3), idle(), measured(20, 3)];
        for number in 0..500 {
            let first = ranking(mix(number), &candidates)[0];
            candidates[first].in_flight += 1;
        }
        assert_eq!(candidates[2].in_flight, 1);
    }

    proptest! {
        #[test]
        fn the_two_drawn_lead_cheaper_first(random: u64, candidates in any_candidates()) {
            let order = ranking(random, &candidates);
            let costs: Vec<_> = order.iter().map(|index| Cost::of(&candidates[*index])).collect();
            if let Some((left, right)) = two_of(candidates.len(), random) {
                prop_assert!(order[..2] == [left, right] || order[..2] == [right, left]);
                prop_assert!(costs[0] <= costs[1]);
                prop_assert!(costs[2..].is_sorted());
            }
        }

        #[test]
        fn two_are_two_and_both_exist(len in 0_usize..=64, random: u64) {
            match two_of(len, random) {
                Some((first, second)) => prop_assert!(first != second && first < len && second < len),
                None => prop_assert!(len < 2),
            }
        }

        #[test]
        fn a_busy_target_without_samples_is_never_preferred(busy in 1_u32.., random: u64, mut other in any_candidate()) {
            other.latency = other.latency.or(Some(Duration::MAX));
            let unknown = Candidate { in_flight: busy, latency: None, ..idle() };
            prop_assert_eq!(ranking(random, &[unknown, other]), [1, 0]);
        }
    }
}
