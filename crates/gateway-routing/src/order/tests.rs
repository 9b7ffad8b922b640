//! Laws of the order, for any policy and any standing.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::policy::tests::{any_candidates, call, idle, policies};
use crate::route::tests::start;
use crate::{MAX_TARGETS, Priority, Weighted};

fn any_standing(start: Instant) -> impl Strategy<Value = Standing> {
    let until = (0_u64..3).prop_map(move |seconds| start + Duration::from_secs(seconds));
    prop_oneof![
        2 => Just(Standing::Available),
        1 => until.clone().prop_map(|until| Standing::Cooling { until }),
        1 => until.prop_map(|until| Standing::Open { until }),
    ]
}

/// Targets of any load and standing, in no particular relation.
fn any_views() -> impl Strategy<Value = Vec<View>> {
    let start = start();
    any_candidates().prop_flat_map(move |candidates| {
        let rest = prop::collection::vec((any_standing(start), any::<u64>()), candidates.len());
        (Just(candidates), rest).prop_map(|(candidates, rest)| {
            let view = |(candidate, (standing, identity))| View { candidate, standing, identity };
            candidates.into_iter().zip(rest).map(view).collect()
        })
    })
}

fn available(weight: u32, identity: u64) -> View {
    View { candidate: Candidate { weight, ..idle() }, standing: Standing::Available, identity }
}

fn any_draw() -> impl Strategy<Value = Draw> {
    any::<(u64, u64)>().prop_map(|(turn, random)| Draw { turn, random })
}

fn ranked(policy: &dyn RoutingPolicy, draw: Draw, affinity: Option<u64>, views: &[View]) -> Vec<usize> {
    let order = Order { policy, call: &call(), draw, affinity };
    order.of::<MAX_TARGETS>(views).iter().collect()
}

/// Ranks what it likes, in no order: itself a bad example, and so a good one here.
#[derive(Debug)]
struct Whimsical(Vec<usize>);

impl RoutingPolicy for Whimsical {
    fn rank(&self, _: &Call, _: Draw, _: &[Candidate], ranking: &mut Ranking) {
        self.0.iter().for_each(|index| ranking.push(*index));
    }
}

#[test]
fn what_the_policy_leaves_out_stays_out() {
    let until = start();
    let mut views = [1, 2, 3, 4, 5].map(|identity| available(1, identity));
    views[1].standing = Standing::Open { until };
    views[3].standing = Standing::Cooling { until };
    let draw = Draw { turn: 0, random: 0 };
    // Of three available and two others, the second and what does not exist.
    let policy = Whimsical(vec![1, 3, 63]);
    for affinity in (0..50).map(Some).chain([None]) {
        assert_eq!(ranked(&policy, draw, affinity, &views), [2, 3]);
    }
    assert!(ranked(&Whimsical(Vec::new()), draw, Some(1), &views).is_empty());
}

#[test]
fn a_key_does_not_lead_to_a_reserve_while_it_is_not_needed() {
    let until = start();
    let mut views = [1, 2, 3, 4].map(|identity| available(1, identity));
    views[2].candidate.priority = 2;
    views[3].candidate.priority = 2;
    let firsts = |views: &[View]| {
        let first = |key| ranked(&Priority, Draw { turn: key, random: 0 }, Some(key), views)[0];
        (0..200).map(first).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(firsts(&views), [0, 1]);
    views[0].standing = Standing::Open { until };
    assert_eq!(firsts(&views), [1]);
    views[1].standing = Standing::Cooling { until };
    assert_eq!(firsts(&views), [2, 3]);
}

proptest! {
    #[test]
    fn who_is_out_of_order_stands_behind_who_is_not(
        draw in any_draw(),
        affinity: Option<u64>,
        views in any_views(),
    ) {
        for (name, policy) in policies() {
            let order = ranked(&*policy, draw, affinity, &views);
            let standings: Vec<_> = order.iter().map(|index| views[*index].standing).collect();
            prop_assert!(standings.is_sorted(), "{}: {:?}", name, standings);
            let mut all = order;
            all.sort_unstable();
            prop_assert_eq!(all, (0..views.len()).collect::<Vec<_>>(), "{}", name);
        }
    }

    #[test]
    fn each_kind_is_ranked_as_if_it_were_alone(draw in any_draw(), views in any_views()) {
        for (name, policy) in policies() {
            let alone = |wanted: fn(&View) -> bool| {
                let members: Vec<_> = (0..views.len()).filter(|index| wanted(&views[*index])).collect();
                let candidates: Vec<_> = members.iter().map(|index| views[*index].candidate).collect();
                let mut ranking = Ranking::new();
                policy.rank(&call(), draw, &candidates, &mut ranking);
                ranking.iter().map(|at| members[at]).collect::<Vec<_>>()
            };
            let mut expected = alone(View::is_available);
            let mut others = alone(|view| !view.is_available());
            others.sort_by_key(|index| views[*index].standing);
            expected.extend(others);
            prop_assert_eq!(ranked(&*policy, draw, None, &views), expected, "{}", name);
        }
    }

    #[test]
    fn affinity_moves_one_available_target_and_no_other(draw in any_draw(), key: u64, views in any_views()) {
        for (name, policy) in policies() {
            let without = ranked(&*policy, draw, None, &views);
            let with = ranked(&*policy, draw, Some(key), &views);
            let leader = with[0];
            let rest: Vec<_> = without.iter().copied().filter(|index| *index != leader).collect();
            prop_assert_eq!(&with[1..], rest, "{}", name);
            prop_assert!(leader == without[0] || views[leader].is_available(), "{}", name);
        }
    }

    #[test]
    fn a_key_leads_to_the_same_target_whatever_the_draw(
        draws: [(u64, u64); 8],
        key: u64,
        mut views in any_views(),
    ) {
        // Load is what may lead it elsewhere.
        for view in &mut views {
            view.candidate.in_flight = 0;
        }
        for (name, policy) in policies() {
            let first = |(turn, random)| ranked(&*policy, Draw { turn, random }, Some(key), &views)[0];
            if views.iter().any(View::is_available) {
                let firsts = draws.map(first);
                prop_assert!(firsts.iter().all(|index| *index == firsts[0]), "{}: {:?}", name, firsts);
            }
        }
    }

    #[test]
    fn a_target_out_of_order_loses_its_keys_and_nobody_else_does(
        keys: [u64; 8],
        weights in prop::collection::vec((1_u32..10, any::<u64>()), 2..8),
        ejected in any::<prop::sample::Index>(),
    ) {
        let views: Vec<_> = weights.iter().map(|(weight, identity)| available(*weight, *identity)).collect();
        let ejected = ejected.index(views.len());
        let mut without = views.clone();
        without[ejected].standing = Standing::Open { until: start() };
        for (name, policy) in policies() {
            for key in keys {
                let first = |views| ranked(&*policy, Draw { turn: key, random: key }, Some(key), views)[0];
                let (before, after) = (first(&views), first(&without));
                prop_assert_eq!(before != after, before == ejected, "{}", name);
            }
        }
    }

    #[test]
    fn the_size_of_the_arrays_makes_no_difference(draw in any_draw(), affinity: Option<u64>, views in any_views()) {
        let views = &views[..views.len().min(16)];
        for (_, policy) in policies() {
            let order = Order { policy: &*policy, call: &call(), draw, affinity };
            prop_assert_eq!(order.of::<16>(views), order.of::<MAX_TARGETS>(views));
        }
    }

    #[test]
    fn weights_are_exact_among_the_available(
        targets in prop::collection::vec((1_u32..12, any::<bool>()), 1..8),
        start_turn in 0_u64..10_000,
    ) {
        let standing = |up| if up { Standing::Available } else { Standing::Open { until: start() } };
        let views: Vec<_> =
            targets.iter().map(|(weight, up)| View { standing: standing(*up), ..available(*weight, 0) }).collect();
        let up = targets.iter().filter(|(_, up)| *up);
        let cycle: u64 = up.map(|(weight, _)| u64::from(*weight)).sum();
        let mut counts = vec![0; targets.len()];
        for turn in start_turn..start_turn + cycle {
            counts[ranked(&Weighted, Draw { turn, random: 0 }, None, &views)[0]] += 1;
        }
        for (count, (weight, up)) in counts.iter().zip(&targets) {
            prop_assert_eq!(*count, if *up { *weight } else { 0 });
        }
    }
}
