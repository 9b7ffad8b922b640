//! The store against the model, for any sequence of calls.

use proptest::prelude::*;

use super::model::Model;
use super::*;
use crate::{DenialCause, Levels};

#[derive(Debug, Clone, Copy)]
enum Gap {
    Micros(u64),
    /// As long as the last denial said, or a microsecond less.
    AsTold,
    AlmostAsTold,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Reserve(Demand),
    /// One of those under way, and what it has used of what it took, in percent.
    Settle(prop::sample::Index, u64),
}

fn demands() -> impl Strategy<Value = Demand> {
    let tokens = prop_oneof![0_u64..20, 0_u64..2_000, 0_u64..2_000_000];
    (tokens, 0_u64..500).prop_map(|(tokens, cost)| Demand { tokens, cost: NanoUsd(cost) })
}

fn events() -> impl Strategy<Value = Vec<(Gap, Event)>> {
    let gap = prop_oneof![
        4 => Just(Gap::Micros(0)),
        2 => (0_u64..2_000).prop_map(Gap::Micros),
        2 => (0_u64..3_000_000).prop_map(Gap::Micros),
        1 => (0_u64..90_000_000).prop_map(Gap::Micros),
        2 => Just(Gap::AsTold),
        1 => Just(Gap::AlmostAsTold),
    ];
    let used = prop_oneof![2 => Just(0), 2 => Just(100), 4 => 0_u64..100, 1 => 100_u64..300];
    let event = prop_oneof![
        5 => demands().prop_map(Event::Reserve),
        3 => (any::<prop::sample::Index>(), used).prop_map(|(which, used)| Event::Settle(which, used)),
    ];
    prop::collection::vec((gap, event), 1..80)
}

fn all_limits() -> impl Strategy<Value = Arc<Limits>> {
    let per_second = prop::option::of((1_u64..15, prop::option::of(1_u64..30)));
    let per_period = prop::option::of((1_u64..20, 1_u32..100));
    let tokens = prop_oneof![1_u64..3_000, Just(7_000), Just(90_000), Just(1_000_003), Just(123_456_789_012)];
    let money = (0_u64..3_000, prop_oneof![Just(BudgetPeriod::Day), Just(BudgetPeriod::Total)]);
    let rest =
        (prop::option::of(1_u64..40), prop::option::of(tokens), prop::option::of(1_u32..6), prop::option::of(money));
    (per_second, per_period, rest).prop_map(|(per_second, per_period, (per_minute, tokens, at_once, money))| {
        let rate_limit = RateLimit {
            requests_per_second: per_second.map(|it| it.0),
            burst_size: per_second.and_then(|it| it.1),
            requests_per_minute: per_minute,
            tokens_per_minute: tokens,
            max_concurrent: at_once,
            limit: per_period.map(|it| it.0),
            period_seconds: per_period.map(|it| it.1),
        };
        limits(&rate_limit, money.map(|(limit, period)| Budget { limit: NanoUsd(limit), period }))
    })
}

/// A long time: what has not come back by then never does.
const FOR_EVER: u64 = 400 * 86_400_000_000;

fn as_told(denial: &Denial) -> u64 {
    denial.retry_after.map_or(0, |wait| u64::try_from(wait.as_micros()).unwrap())
}

/// That the wait is exactly as long as it has to be, and that it is the named limit's.
fn assert_true(model: &Model, demand: Demand, denial: &Denial) -> Result<(), TestCaseError> {
    match denial.retry_after {
        Some(wait) => {
            prop_assert_eq!(wait, Duration::from_micros(as_told(denial)), "in whole microseconds");
            prop_assert!(model.admits_after(demand, as_told(denial)));
            prop_assert!(!model.admits_after(demand, as_told(denial) - 1));
        }
        None => prop_assert!(!model.admits_after(demand, FOR_EVER)),
    }
    prop_assert!(!matches!(denial.cause, DenialCause::Blocked | DenialCause::Unavailable));
    Ok(())
}

fn assert_levels(model: &Model, levels: Levels) -> Result<(), TestCaseError> {
    prop_assert!(model.requests_remaining_are(levels.requests.map(|it| it.remaining)), "{:?}", levels);
    prop_assert!(model.tokens_remaining_are(levels.tokens.map(|it| it.remaining)), "{:?}", levels);
    prop_assert_eq!(levels.tokens.map(|it| it.reset.as_micros()), model.tokens_spent());
    Ok(())
}

/// In microseconds' worth, how much calls have taken net of what they gave back: the moment, and how much.
type Flow = Vec<(u64, i128)>;

/// Whenever a call was let through, what flowed since any moment before is within a burst and the time between.
fn assert_bounded(flow: &Flow, admissions: &[usize], capacity: u64) -> Result<(), TestCaseError> {
    for last in admissions {
        let mut sum = 0;
        for (at, amount) in flow[..=*last].iter().rev() {
            sum += amount;
            prop_assert!(sum <= i128::from(capacity) + i128::from(flow[*last].0 - at));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_store_decides_as_the_model_does(limits in all_limits(), events in events()) {
        let (bench, mut model) = (Bench::new(), Model::new(&limits));
        let (mut calls, mut now, mut told) = (Vec::new(), 0, 0);
        let (mut flow, mut admissions) = (Flow::new(), Vec::new());
        let worth = |tokens| limits.tokens.map_or(0, |quota| i128::from(quota.time_of(tokens)));
        for (gap, event) in events {
            let gap = match gap {
                Gap::Micros(micros) => micros,
                Gap::AsTold => told,
                Gap::AlmostAsTold => told.saturating_sub(1),
            };
            now += gap;
            model.pass(gap);
            match event {
                Event::Reserve(demand) => {
                    let window = model.window();
                    match bench.reserve("key", &limits, demand, now) {
                        Ok(reservation) => {
                            prop_assert!(model.admits(demand));
                            model.take(demand);
                            assert_levels(&model, reservation.levels())?;
                            calls.push((reservation, window));
                            admissions.push(flow.len());
                            flow.push((now, worth(demand.tokens)));
                        }
                        Err(denial) => {
                            prop_assert!(!model.admits(demand), "{:?}", denial);
                            assert_true(&model, demand, &denial)?;
                            assert_levels(&model, denial.levels)?;
                            told = as_told(&denial);
                        }
                    }
                }
                Event::Settle(which, percent) => {
                    if calls.is_empty() {
                        continue;
                    }
                    let (reservation, window) = calls.swap_remove(which.index(calls.len()));
                    let taken = reservation.taken().demand;
                    let part = |of: u64| of * percent / 100;
                    let used = Demand { tokens: part(taken.tokens), cost: NanoUsd(part(taken.cost.0)) };
                    model.settle(window, taken, used);
                    let back = taken.tokens.saturating_sub(used.tokens);
                    let back = limits.tokens.map_or(0, |quota| i128::from(quota.time_within(back)));
                    flow.push((now, worth(used.tokens.saturating_sub(taken.tokens)) - back));
                    bench.store.settle(reservation, Used { tokens: used.tokens, cost: used.cost }, bench.at(now));
                }
            }
            prop_assert_eq!(u64::from(bench.store.in_flight("key")), model.in_flight());
        }
        if let Some(quota) = limits.tokens {
            assert_bounded(&flow, &admissions, quota.capacity())?;
        }
        let recorded: u64 = bench.store.take_unrecorded().iter().map(|spend| spend.amount.0).sum();
        prop_assert_eq!(recorded, if limits.budget.is_some() { model.spent() } else { 0 });
    }

    /// However calls end, and in whatever order, what they did not use is there again.
    #[test]
    fn the_order_of_ends_does_not_matter(
        calls in prop::collection::vec((0_u64..100, 0_u64..200), 1..20).prop_flat_map(|calls| {
            (Just(calls.clone()), Just((0..calls.len()).collect::<Vec<_>>()).prop_shuffle())
        }),
        tokens in prop_oneof![Just(6_000_u64), Just(7_000), Just(90_001)],
    ) {
        let (calls, order) = calls;
        let limits = limits(&RateLimit { tokens_per_minute: Some(tokens), ..RateLimit::default() }, None);
        let bench = Bench::new();
        let take = |tokens| bench.reserve("key", &limits, Demand { tokens, cost: NanoUsd(0) }, 0);
        let mut taken: Vec<_> = calls.iter().map(|(tokens, _)| Some(take(*tokens).unwrap())).collect();
        for which in order {
            let used = Used { tokens: calls[which].1, cost: NanoUsd(0) };
            bench.store.settle(taken[which].take().unwrap(), used, bench.at(0));
        }
        let quota = limits.tokens.unwrap();
        let spent = |(taken, used): &(u64, u64)| {
            quota.time_of(*taken) - quota.time_within(taken.saturating_sub(*used)) + quota.time_of(used.saturating_sub(*taken))
        };
        let level = take(0).unwrap().levels().tokens.unwrap();
        prop_assert_eq!(level, quota.level(calls.iter().map(spent).sum()));
    }
}
