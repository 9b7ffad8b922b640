use proptest::prelude::*;

use super::*;
use crate::{StableHasher, identity};

const KEYS: u32 = 20_000;

fn key(number: u32) -> u64 {
    let mut hasher = StableHasher::new();
    hasher.write(format!("session-{number}").as_bytes());
    hasher.finish()
}

/// Idle targets of these names and weights.
fn idle(targets: &[(&str, u32)]) -> Vec<Contender> {
    let contender = |(index, (name, weight)): (usize, &(&str, u32))| Contender {
        index,
        identity: identity(&[name]),
        share: u64::from(*weight),
        in_flight: 0,
    };
    targets.iter().enumerate().map(contender).collect()
}

fn of(key: u64, contenders: &[Contender]) -> Option<usize> {
    winner(key, contenders.iter().copied())
}

/// How many of the first keys each contender wins.
fn shares(contenders: &[Contender], key: impl Fn(u32) -> u64) -> Vec<u32> {
    let mut counts = vec![0; contenders.len()];
    for number in 0..KEYS {
        counts[of(key(number), contenders).unwrap()] += 1;
    }
    counts
}

/// Whether each count is within five standard deviations of its weight's share.
fn follow_weights(counts: &[u32], contenders: &[Contender]) -> bool {
    let share = |contender: &Contender| f64::from(u32::try_from(contender.share).unwrap());
    let total: f64 = contenders.iter().map(share).sum();
    counts.iter().zip(contenders).all(|(count, contender)| {
        let probability = share(contender) / total;
        let expected = f64::from(KEYS) * probability;
        (f64::from(*count) - expected).abs() < 5.0 * (expected * (1.0 - probability)).sqrt()
    })
}

fn any_contenders() -> impl Strategy<Value = Vec<Contender>> {
    let one = (any::<u64>(), 1_u32..20, prop_oneof![0_u32..5, any::<u32>()]);
    prop::collection::vec(one, 1..12).prop_map(|all| {
        let contender =
            |(index, (identity, weight, in_flight))| Contender { index, identity, share: u64::from(weight), in_flight };
        all.into_iter().enumerate().map(contender).collect()
    })
}

fn unburdened(mut contenders: Vec<Contender>) -> Vec<Contender> {
    for contender in &mut contenders {
        contender.in_flight = 0;
    }
    contenders
}

#[test]
fn the_assignment_never_changes() {
    // Computed by another implementation. A change here moves conversations away from where they are cached.
    let contenders = idle(&[("openai", 3), ("azure", 2), ("groq", 1)]);
    let winners: Vec<_> = (0..24).map(|number| of(key(number), &contenders).unwrap()).collect();
    assert_eq!(winners, [0, 1, 2, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 2, 1, 0, 2]);
}

#[test]
fn nobody_wins_where_there_is_nobody() {
    assert_eq!(of(7, &[]), None);
}

#[test]
fn shares_follow_weights() {
    for targets in [
        &[("a", 1), ("b", 1)][..],
        &[("a", 1), ("b", 2), ("c", 5)],
        &[("eu-1", 100), ("eu-2", 1), ("us-1", 10)],
        &[("a", u32::MAX), ("b", u32::MAX)],
    ] {
        let contenders = idle(targets);
        let counts = shares(&contenders, key);
        assert!(follow_weights(&counts, &contenders), "{counts:?} of {targets:?}");
    }
}

#[test]
fn shares_follow_weights_whatever_the_numbers_look_like() {
    let mut contenders = idle(&[("", 1), ("", 2), ("", 3)]);
    for (contender, identity) in contenders.iter_mut().zip(0..) {
        contender.identity = identity;
    }
    for counts in [shares(&contenders, u64::from), shares(&contenders, |number| u64::from(number) << 40)] {
        assert!(follow_weights(&counts, &contenders), "{counts:?}");
    }
}

#[test]
fn keys_of_a_target_that_leaves_are_shared_by_weight() {
    let contenders = idle(&[("a", 3), ("b", 2), ("c", 1), ("d", 1)]);
    let of_first: Vec<_> = (0..KEYS).map(key).filter(|key| of(*key, &contenders) == Some(0)).collect();
    let mut counts = [0_u32; 4];
    for key in &of_first {
        counts[of(*key, &contenders[1..]).unwrap()] += 1;
    }
    assert_eq!(counts[0], 0);
    let all: u32 = counts.iter().sum();
    for (count, weight) in counts[1..].iter().zip([2, 1, 1]) {
        let expected = all * weight / 4;
        assert!(count.abs_diff(expected) < expected / 10, "{counts:?} of {all}");
    }
}

#[test]
fn the_bound_counts_the_call_that_is_to_come() {
    // (in flight and share of one target, calls with the one to come, shares of all, whether it has room)
    let table = [
        ((0, 1), 1, 64, true),
        ((1, 1), 4, 4, true),
        ((2, 1), 4, 4, false),
        ((1, 1), 3, 4, false),
        ((4, 2), 8, 4, true),
        ((5, 2), 8, 4, false),
        ((5, 2), 9, 4, true),
        ((u32::MAX, u32::MAX), 1 << 38, 1 << 38, true),
    ];
    for ((in_flight, share), calls, shares, expected) in table {
        let contender = Contender { index: 0, identity: 0, share: u64::from(share), in_flight };
        assert_eq!(has_room(contender, calls, shares), expected, "{in_flight} of {calls}, {share} of {shares}");
    }
    // With the call to come there are 24, so each may have seven and a half.
    let mut contenders = idle(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    for (contender, in_flight) in contenders.iter_mut().zip([7, 8, 8, 0]) {
        contender.in_flight = in_flight;
    }
    let winners: std::collections::BTreeSet<_> = (0..200).map(|number| of(key(number), &contenders).unwrap()).collect();
    assert_eq!(winners.into_iter().collect::<Vec<_>>(), [0, 3]);
}

#[test]
fn a_few_calls_of_one_key_stay_together() {
    let mut contenders = idle(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    let home = of(key(1), &contenders).unwrap();
    for _ in 0..ALWAYS_ROOM {
        assert_eq!(of(key(1), &contenders), Some(home));
        contenders[home].in_flight += 1;
    }
    assert_ne!(of(key(1), &contenders), Some(home), "with more the bound counts");
}

#[test]
fn one_key_for_all_calls_fills_every_target_to_its_bound_only() {
    let mut contenders = idle(&[("a", 1), ("b", 1), ("c", 2)]);
    for calls in 1..=400_u64 {
        let index = of(key(1), &contenders).unwrap();
        contenders[index].in_flight += 1;
        for contender in &contenders {
            let bound = (5 * calls * contender.share).div_ceil(4 * 4).max(u64::from(ALWAYS_ROOM));
            assert!(u64::from(contender.in_flight) <= bound, "{contenders:?} of {calls}");
        }
    }
    let mut calls: Vec<_> =
        contenders.iter().map(|contender| u64::from(contender.in_flight) / contender.share).collect();
    calls.sort_unstable();
    assert_eq!(calls[1..], [125, 125], "the favourites are at 1.25 times the average of 100, and not below");
}

proptest! {
    #[test]
    fn somebody_always_has_room(key: u64, contenders in any_contenders()) {
        let index = of(key, &contenders).unwrap();
        let calls: u128 = contenders.iter().map(|it| u128::from(it.in_flight)).sum::<u128>() + 1;
        let shares: u128 = contenders.iter().map(|it| u128::from(it.share)).sum();
        let bound = (5 * calls * u128::from(contenders[index].share)).div_ceil(4 * shares).max(u128::from(ALWAYS_ROOM));
        prop_assert!(u128::from(contenders[index].in_flight) < bound);
    }

    #[test]
    fn the_order_of_the_contenders_makes_no_difference(
        key: u64,
        (contenders, shuffled) in any_contenders().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        prop_assert_eq!(of(key, &contenders), of(key, &shuffled));
    }

    #[test]
    fn a_target_that_leaves_takes_only_its_own_keys(
        keys: [u64; 16],
        contenders in any_contenders().prop_map(unburdened),
        gone in any::<prop::sample::Index>(),
    ) {
        let gone = gone.index(contenders.len());
        let rest: Vec<_> = contenders.iter().copied().filter(|contender| contender.index != gone).collect();
        for key in keys {
            let before = of(key, &contenders);
            if before != Some(gone) {
                prop_assert_eq!(of(key, &rest), before);
            }
        }
    }

    #[test]
    fn more_weight_takes_keys_and_gives_none_away(
        keys: [u64; 16],
        contenders in any_contenders().prop_map(unburdened),
        heavier in any::<prop::sample::Index>(),
    ) {
        let heavier = heavier.index(contenders.len());
        let mut after = contenders.clone();
        after[heavier].share += 3;
        for key in keys {
            let (before, now) = (of(key, &contenders), of(key, &after));
            prop_assert!(now == before || now == Some(heavier));
        }
    }

    #[test]
    fn a_target_listed_twice_is_the_first_of_the_two(key: u64, mut contenders in any_contenders().prop_map(unburdened)) {
        let twin = Contender { index: contenders.len(), ..contenders[0] };
        contenders.push(twin);
        contenders.reverse();
        prop_assert_ne!(of(key, &contenders), Some(twin.index));
    }

    #[test]
    fn the_races_take_a_positive_time(key: u64, identity: u64, share in prop_oneof![Just(1), Just(u64::from(u32::MAX))]) {
        let time = arrival(key, Contender { index: 0, identity, share, in_flight: 0 });
        prop_assert!(time > 0.0 && time.is_finite());
    }
}
