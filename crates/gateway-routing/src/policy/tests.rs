//! Laws that every built-in policy keeps, and what the tests of each need.

use gateway_call::{Endpoint, Tightening};
use proptest::prelude::*;

use super::*;
use crate::MAX_TARGETS;

pub(crate) fn call() -> Call {
    Call {
        endpoint: Endpoint::ChatCompletions,
        models: vec!["m".into()],
        stream: false,
        tightening: Tightening::default(),
        tags: Vec::new(),
    }
}

/// A target of weight 1 in the first tier that has not served yet.
pub(crate) fn idle() -> Candidate {
    Candidate { weight: 1, priority: 1, in_flight: 0, latency: None }
}

pub(crate) fn rank(policy: &dyn RoutingPolicy, draw: Draw, candidates: &[Candidate]) -> Vec<usize> {
    let mut ranking = Ranking::new();
    policy.rank(&call(), draw, candidates, &mut ranking);
    ranking.iter().collect()
}

/// The ranking of a policy that does not look at the random bits.
pub(crate) fn turn(policy: &dyn RoutingPolicy, turn: u64, candidates: &[Candidate]) -> Vec<usize> {
    rank(policy, Draw { turn, random: 0 }, candidates)
}

/// Any number, but mostly one that others are equal or close to.
fn any_number(least: u32) -> impl Strategy<Value = u32> {
    prop_oneof![4 => least..least + 4, 2 => least..1000, 1 => Just(u32::MAX), 1 => least..]
}

pub(crate) fn any_candidate() -> impl Strategy<Value = Candidate> {
    let latency = prop_oneof![
        Just(None),
        (0_u64..4).prop_map(|millis| Some(Duration::from_millis(millis))),
        Just(Some(Duration::MAX)),
        any::<Duration>().prop_map(Some),
    ];
    (any_number(1), any_number(0), any_number(0), latency)
        .prop_map(|(weight, priority, in_flight, latency)| Candidate { weight, priority, in_flight, latency })
}

pub(crate) fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let of = |len: std::ops::RangeInclusive<usize>| prop::collection::vec(any_candidate(), len);
    prop_oneof![3 => of(1..=5), 1 => of(1..=MAX_TARGETS)]
}

pub(crate) fn policies() -> Vec<(&'static str, std::sync::Arc<dyn RoutingPolicy>)> {
    let registry = builtin();
    registry.names().map(|name| (name, registry.build_default(name).unwrap())).collect()
}

#[test]
fn the_names_are_those_of_the_configuration() {
    assert_eq!(builtin().names().collect::<Vec<_>>(), ["least_in_flight", "p2c", "priority", "weighted"]);
}

#[test]
fn a_single_candidate_is_ranked_and_none_gives_none() {
    for (name, policy) in policies() {
        assert_eq!(turn(&*policy, 3, &[idle()]), [0], "{name}");
        assert_eq!(turn(&*policy, 3, &[]), [0_usize; 0], "{name}");
    }
}

proptest! {
    #[test]
    fn every_candidate_is_ranked_once(turn: u64, random: u64, candidates in any_candidates()) {
        for (name, policy) in policies() {
            let mut order = rank(&*policy, Draw { turn, random }, &candidates);
            order.sort_unstable();
            prop_assert_eq!(order, (0..candidates.len()).collect::<Vec<_>>(), "{}", name);
        }
    }

    #[test]
    fn the_same_draw_gives_the_same_ranking(turn: u64, random: u64, candidates in any_candidates()) {
        let draw = Draw { turn, random };
        for (name, policy) in policies() {
            prop_assert_eq!(rank(&*policy, draw, &candidates), rank(&*policy, draw, &candidates), "{}", name);
        }
    }
}
