//! Threads, accounts that come and go, limits that change, and clocks that are not in step.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::{DenialCause, Quota, RequestQuotas};

const FREE: Demand = Demand { tokens: 0, cost: NanoUsd(0) };

fn per_minute(requests_per_minute: u64) -> Arc<Limits> {
    limits(&RateLimit { requests_per_minute: Some(requests_per_minute), ..RateLimit::default() }, None)
}

fn limits_of_two_a_day() -> Arc<Limits> {
    limits(&RateLimit { limit: Some(2), period_seconds: Some(86_400), ..RateLimit::default() }, None)
}

#[test]
fn threads_together_get_what_one_would() {
    let bench = Bench::new();
    let rate_limit = RateLimit { max_concurrent: Some(1_000), requests_per_minute: Some(100), ..RateLimit::default() };
    let limits = limits(&rate_limit, None);
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_000 / 8 {
                    if let Ok(reservation) = bench.reserve("key", &limits, FREE, 5) {
                        admitted.fetch_add(1, Ordering::Relaxed);
                        bench.settle(reservation, 0, 5);
                    }
                }
            });
        }
    });
    assert_eq!((admitted.into_inner(), bench.store.in_flight("key")), (100, 0));
}

#[test]
fn sweeping_while_it_is_used_loses_nothing() {
    let bench = Bench::new();
    // Each call is over long before the next of its key, so that the account may be swept at any time between.
    let limits = budget(1_000_000, BudgetPeriod::Day);
    let admitted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for key in ["a", "b", "a", "b"] {
            let (bench, limits, admitted) = (&bench, &limits, &admitted);
            scope.spawn(move || {
                for round in 0..500 {
                    let reservation = bench.paid(key, limits, 1, round).unwrap();
                    bench.settle(reservation, 1, round);
                    admitted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let bench = &bench;
        scope.spawn(move || (0..200).for_each(|_| bench.store.sweep(bench.at(0))));
    });
    let window = BudgetPeriod::Day.window(START);
    let spent = bench.store.spent("a", window).0 + bench.store.spent("b", window).0;
    assert_eq!((admitted.into_inner(), spent), (2_000, 2_000));
}

#[test]
fn an_account_that_is_gone_is_not_used_again() {
    let bench = Bench::new();
    bench.store.change(&"key".into(), |_| ());
    let accounts = bench.store.accounts.pin();
    let gone = accounts.get("key").unwrap();
    // As a sweep leaves it in the moment before it takes it out.
    gone.lock().is_gone = true;
    drop(bench.reserve("key", &per_minute(1), FREE, 0));
    assert_eq!((gone.lock().in_flight, bench.store.in_flight("key")), (0, 1));
    // The sweep goes on and finds another in its place.
    bench.store.remove("key", gone);
    assert_eq!(bench.store.in_flight("key"), 1);
}

#[test]
fn only_idle_accounts_are_swept() {
    let bench = Bench::new();
    let limits = per_minute(60);
    let under_way = bench.reserve("under way", &limits, FREE, 0).unwrap();
    for (key, micros) in [("full", 0), ("not full", 1)] {
        let reservation = bench.reserve(key, &limits, FREE, micros).unwrap();
        bench.settle(reservation, 0, micros);
    }
    let day = budget(100, BudgetPeriod::Day);
    let paid = bench.paid("paid", &day, 1, 0).unwrap();
    bench.settle(paid, 1, 0);
    assert_eq!(bench.store.take_unrecorded().len(), 1);
    let window = BudgetPeriod::Day.window(START);
    let swept = |micros| {
        bench.store.sweep(bench.at(micros));
        let mut left: Vec<_> = bench.store.accounts.pin().keys().map(ToString::to_string).collect();
        left.sort();
        left
    };
    assert_eq!(swept(1_000_000), ["not full", "paid", "under way"]);
    bench.settle(under_way, 0, 1_000_001);
    assert_eq!(swept(20_000_000), ["paid"], "it is being recorded still");
    bench.store.note_totals(&[Spend { account: "paid".into(), window, amount: NanoUsd(1) }]);
    assert_eq!(swept(9_999_999), ["paid"], "the day is not over");
    assert!(swept(10_000_000).is_empty());
}

#[test]
fn what_is_spent_outlives_a_change_of_limits() {
    let bench = Bench::new();
    let demand = |tokens| Demand { tokens, cost: NanoUsd(0) };
    let rate = |requests_per_minute, tokens_per_minute| {
        limits(&RateLimit { requests_per_minute, tokens_per_minute, ..RateLimit::default() }, None)
    };
    drop(bench.reserve("key", &rate(Some(10), Some(1_000)), demand(1_000), 0));
    let levels = |limits: &Arc<Limits>| bench.reserve("key", limits, demand(0), 0).unwrap().levels();
    let both = levels(&rate(Some(10), Some(2_000)));
    assert_eq!((both.requests.unwrap().remaining, both.tokens.unwrap().remaining), (8, 1_000));
    // The same limits, read again.
    let both = levels(&rate(Some(10), Some(2_000)));
    assert_eq!((both.requests.unwrap().remaining, both.tokens.unwrap().remaining), (7, 1_000));
    // Another period: what was spent of the one that is gone.
    let hourly = RateLimit { limit: Some(5), period_seconds: Some(3_600), ..RateLimit::default() };
    assert_eq!(levels(&limits(&hourly, None)).requests.unwrap().remaining, 1);
    // What was let through without it counts in a quota that comes back at another rate.
    let more = limits(&RateLimit { requests_per_minute: Some(3), ..hourly.clone() }, None);
    let denial = bench.reserve("key", &more, demand(0), 0).unwrap_err();
    assert_eq!(denial.cause, DenialCause::Requests { limit: 3, period: Duration::from_mins(1) });
    assert_eq!(denial.retry_after, Some(Duration::from_secs(20)), "and no more of it than all");
    // Debts beyond a burst are not kept; a block keeps nothing out of what comes after it.
    let blocked = limits(&RateLimit { limit: Some(0), ..RateLimit::default() }, None);
    assert_eq!(bench.reserve("key", &blocked, demand(0), 0).unwrap_err().cause, DenialCause::Blocked);
}

fn in_seconds(limit: u64, seconds: u32) -> RateLimit {
    RateLimit { limit: Some(limit), period_seconds: Some(seconds), ..RateLimit::default() }
}

#[test]
fn a_burst_is_not_had_twice_by_changing_limits() {
    let minute = |limit, rest| RateLimit { requests_per_minute: Some(limit), ..rest };
    let none = RateLimit::default;
    let all = 100;
    for (name, changes, most) in [
        (
            "what another place has seen counts in one that has seen less",
            vec![(in_seconds(1, 2), all), (in_seconds(2, 1), all), (in_seconds(5, 2), all)],
            5,
        ),
        (
            "what comes beside another has no more room, and goes on without it",
            vec![(in_seconds(4, 40), 3), (minute(2, in_seconds(4, 40)), 1), (minute(2, none()), all)],
            4,
        ),
        (
            "the larger that comes beside another begins with what that has seen",
            vec![(in_seconds(2, 40), 1), (minute(4, in_seconds(2, 40)), 1), (minute(4, none()), all)],
            4,
        ),
        (
            "one of a place is replaced by two of others",
            vec![(in_seconds(3, 1), 2), (minute(3, in_seconds(4, 40)), 1), (in_seconds(4, 40), all)],
            4,
        ),
    ] {
        let bench = Bench::new();
        let calls = changes.into_iter().flat_map(|(rate_limit, calls)| vec![limits(&rate_limit, None); calls]);
        let admitted = calls.filter(|limits| bench.reserve("key", limits, FREE, 0).is_ok()).count();
        assert_eq!(admitted, most, "{name}");
    }
}

fn quotas() -> impl Strategy<Value = (u64, u32)> {
    (1_u64..30, prop_oneof![Just(1_u32), Just(60), 2_u32..200])
}

fn steps() -> impl Strategy<Value = Vec<(usize, u64)>> {
    let gap = prop_oneof![3 => Just(0_u64), 2 => 0_u64..2_000_000, 1 => 0_u64..90_000_000];
    prop::collection::vec((0_usize..20, gap), 1..200)
}

/// Limits among which administrators change their mind.
fn changing(most: usize) -> impl Strategy<Value = (Vec<Arc<Limits>>, Vec<(usize, u64)>)> {
    let limits = |(limit, seconds)| limits(&in_seconds(limit, seconds), None);
    (prop::collection::vec(quotas().prop_map(limits), 1..most), steps())
}

/// The same of limits that are several each.
fn changing_sets() -> impl Strategy<Value = (Vec<Arc<Limits>>, Vec<(usize, u64)>)> {
    let few = || prop::option::of(1_u64..12);
    let set = (few(), few(), quotas()).prop_map(|(requests_per_second, requests_per_minute, (limit, seconds))| {
        limits(&RateLimit { requests_per_second, requests_per_minute, ..in_seconds(limit, seconds) }, None)
    });
    (prop::collection::vec(set, 1..5), steps())
}

/// When calls are let through. Whoever is refused waits as long as it is told and is let through then, as nothing has changed.
fn admitted(all: &[Arc<Limits>], steps: Vec<(usize, u64)>) -> Result<Vec<u64>, TestCaseError> {
    let (bench, mut now, mut admitted) = (Bench::new(), 0, Vec::new());
    for (which, gap) in steps {
        now += gap;
        let limits = &all[which % all.len()];
        if let Err(denial) = bench.reserve("key", limits, FREE, now) {
            now += u64::try_from(denial.retry_after.unwrap().as_micros()).unwrap();
            prop_assert!(bench.reserve("key", limits, FREE, now).is_ok());
        }
        admitted.push(now);
    }
    Ok(admitted)
}

/// In any time, the largest burst and what the fastest rate makes of that time.
fn assert_lawful(quotas: &[Quota], admitted: &[u64]) -> Result<(), TestCaseError> {
    let burst = quotas.iter().map(Quota::burst).max().unwrap();
    let each = quotas.iter().map(|quota| quota.time_of(1)).min().unwrap();
    for (first, since) in admitted.iter().enumerate() {
        for (last, until) in admitted.iter().enumerate().skip(first) {
            let most = burst + (until - since) / each;
            prop_assert!(((last - first) as u64) < most, "{} from {} to {}", last - first + 1, since, until);
        }
    }
    Ok(())
}

/// One quota of each.
fn one_of_each(all: &[Arc<Limits>], which: usize) -> Vec<Quota> {
    let one = |limits: &Arc<Limits>| limits.requests[which % limits.requests.iter().count()];
    all.iter().map(one).collect()
}

proptest! {
    #[test]
    fn changing_limits_to_and_fro_frees_nothing((all, steps) in changing(5)) {
        assert_lawful(&one_of_each(&all, 0), &admitted(&all, steps)?)?;
    }

    /// Nor does being forgotten.
    #[test]
    fn changing_among_more_limits_than_are_counted_frees_nothing((all, steps) in changing(20)) {
        assert_lawful(&one_of_each(&all, 0), &admitted(&all, steps)?)?;
    }

    /// Of limits that are several each, every one would hold calls to the law without the others.
    #[test]
    fn changing_limits_that_come_beside_others_frees_nothing((all, steps) in changing_sets()) {
        let admitted = admitted(&all, steps)?;
        for which in 0..RequestQuotas::SLOTS {
            assert_lawful(&one_of_each(&all, which), &admitted)?;
        }
    }
}

#[test]
fn no_more_than_a_few_rates_are_counted() {
    let bench = Bench::new();
    for limit in 100..200 {
        let admitted = bench.reserve("key", &per_minute(limit), FREE, limit).unwrap();
        let spent = limit - admitted.levels().requests.unwrap().remaining;
        assert_eq!(spent, limit - 99, "what was spent is inherited from one to the next");
    }
    assert!(bench.store.change(&"key".into(), |account| account.rates()) <= 8);
}

#[test]
fn what_is_refused_changes_nothing() {
    let bench = Bench::new();
    let spend = |limit| while bench.reserve("key", &per_minute(limit), FREE, 0).is_ok() {};
    spend(30);
    spend(20);
    spend(30);
    let limits = per_minute(40);
    assert_eq!(bench.reserve("key", &limits, FREE, 0).unwrap().levels().requests.unwrap().remaining, 9);
}

#[test]
fn an_old_debt_is_not_forgiven_by_another_limit() {
    let bench = Bench::new();
    let rate = |max_concurrent| {
        limits(&RateLimit { tokens_per_minute: Some(60), max_concurrent, ..RateLimit::default() }, None)
    };
    let reservation = bench.reserve("key", &rate(None), FREE, 0).unwrap();
    bench.store.settle(reservation, Used { tokens: 100, cost: NanoUsd(0) }, bench.at(0));
    let denial = bench.reserve("key", &rate(Some(9)), FREE, 0).unwrap_err();
    assert_eq!(denial.retry_after, Some(Duration::from_secs(40)));
}

#[test]
fn moments_out_of_order_count_as_the_latest() {
    let bench = Bench::new();
    let limits = limits(&RateLimit { tokens_per_minute: Some(60), ..RateLimit::default() }, None);
    let demand = |tokens| Demand { tokens, cost: NanoUsd(0) };
    let call = bench.reserve("key", &limits, demand(60), 0).unwrap();
    bench.store.settle(call, Used::default(), bench.at(50_000_000));
    let early = bench.reserve("key", &limits, demand(59), 49_999_999).unwrap();
    assert_eq!(early.levels().tokens.map(|it| it.reset), Some(Duration::from_secs(59)), "taken at the latest moment");
    assert!(bench.reserve("key", &limits, demand(2), 50_000_000).is_err(), "and no more than that");
    // Neither is refused for having been overtaken.
    let two = limits_of_two_a_day();
    assert!(bench.reserve("other", &two, FREE, 50_000).is_ok() && bench.reserve("other", &two, FREE, 0).is_ok());
    assert!(bench.reserve("other", &two, FREE, 50_000).is_err());
    // Before the store's own beginning is at its beginning.
    let later = LocalLimits::new(bench.base + Duration::from_secs(1));
    assert_eq!(later.stamp(bench.at(0)).micros, 0);
}
