//! Redis decides as the local store does, to the microsecond.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use gateway_ratelimit::{
    Budget, BudgetPeriod, BudgetWindow, Demand, Denial, Levels, LimitStore, Limits, LocalLimits, NanoUsd, RateLimit,
    Reservation, Used,
};
use gateway_ratelimit_redis::{Clock, OnError, RedisSettings};
use gateway_testing::{RedisServer, limit_vectors};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::fixture::{connected, patient};

/// Redis goes by the callers' calendar, and no answer can be the node's own.
fn by_the_callers_clock(server: &RedisServer) -> RedisSettings {
    RedisSettings { clock: Clock::Caller, on_error: OnError::Deny, ..patient(server) }
}

#[expect(clippy::disallowed_methods, reason = "any moment will do: Redis goes by the calendar")]
fn base() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn in_the_shared_scenarios() {
    let Some(server) = RedisServer::start() else { return };
    let store = connected(by_the_callers_clock(&server)).await;
    let base = base();
    limit_vectors::run(&store, |at_us| limit_vectors::moment(base, at_us)).await;
    store.close().await;
}

/// Something that happens to an account.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Reserve { limits: usize, demand: Demand },
    Settle { call: prop::sample::Index, used: Used },
}

/// Limits of which some have rates in common, and some a place.
fn limits() -> Vec<Arc<Limits>> {
    let all = RateLimit {
        requests_per_second: Some(3),
        burst_size: Some(5),
        requests_per_minute: Some(40),
        tokens_per_minute: Some(1_000),
        max_concurrent: Some(6),
        ..RateLimit::default()
    };
    let faster =
        RateLimit { requests_per_second: Some(7), burst_size: None, tokens_per_minute: Some(700), ..all.clone() };
    let own_period = RateLimit {
        limit: Some(9),
        period_seconds: Some(7),
        tokens_per_minute: Some(900),
        max_concurrent: Some(6),
        ..RateLimit::default()
    };
    let longer =
        RateLimit { limit: Some(11), period_seconds: Some(90), requests_per_minute: Some(40), ..own_period.clone() };
    let twice =
        RateLimit { limit: Some(40), period_seconds: None, requests_per_minute: Some(40), ..RateLimit::default() };
    let of_one_period = RateLimit { limit: Some(15), ..twice.clone() };
    let none = RateLimit { max_concurrent: Some(6), ..RateLimit::default() };
    let budget = Budget { limit: NanoUsd(1_000), period: BudgetPeriod::Day };
    let limits = |rate_limit: RateLimit| Arc::new(rate_limit.limits(Some(budget)).unwrap());
    // More than are counted at once, and some of periods that have places of their own.
    let many = (1..13_u32).map(|number| RateLimit {
        limit: Some((5 * number % 13).into()),
        period_seconds: Some(number * number % 60),
        ..RateLimit::default()
    });
    [all, faster, own_period, longer, twice, of_one_period, none].into_iter().chain(many).map(limits).collect()
}

fn step() -> impl Strategy<Value = Step> {
    let amount = || (0..400_u64, 0..300_u64);
    prop_oneof![
        2 => (1..2_000_000_u64).prop_map(Step::Wait),
        // Now and then longer than anything lasts.
        1 => (1..100_000_000_u64).prop_map(Step::Wait),
        6 => (prop_oneof![2 => Just(0_usize), 4 => 0..19_usize], amount())
            .prop_map(|(limits, (tokens, cost))| Step::Reserve { limits, demand: Demand { tokens, cost: NanoUsd(cost) } }),
        4 => (any::<prop::sample::Index>(), amount())
            .prop_map(|(call, (tokens, cost))| Step::Settle { call, used: Used { tokens, cost: NanoUsd(cost) } }),
    ]
}

/// What a caller is told.
fn told(answer: &Result<Reservation, Denial>) -> Result<(Levels, Option<BudgetWindow>), Denial> {
    answer.as_ref().map(|call| (call.levels(), call.taken().window)).map_err(Clone::clone)
}

#[test]
fn whatever_happens() {
    let Some(server) = RedisServer::start() else { return };
    // On one thread, what is sent earlier arrives earlier, and so the time that is sent with it never goes back.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(connected(by_the_callers_clock(&server)));
    let (limits, base) = (limits(), base());
    let cases = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) });
    let outcome = runner.run(&prop::collection::vec(step(), 1..80), |steps| {
        cases.set(cases.get() + 1);
        let key: Arc<str> = format!("account {}", cases.get()).into();
        let local = LocalLimits::new(base);
        let (mut micros, mut calls) = (0, Vec::new());
        for step in steps {
            let at = limit_vectors::moment(base, micros);
            match step {
                Step::Wait(wait) => micros += wait,
                Step::Reserve { limits: which, demand } => {
                    let ours = runtime.block_on(store.reserve(&key, &limits[which], demand, at));
                    let theirs = runtime.block_on(local.reserve(&key, &limits[which], demand, at));
                    prop_assert_eq!(told(&ours), told(&theirs));
                    calls.extend(ours.ok().zip(theirs.ok()));
                }
                Step::Settle { call, used } if !calls.is_empty() => {
                    let (ours, theirs) = calls.swap_remove(call.index(calls.len()));
                    store.settle(ours, used, at);
                    local.settle(theirs, used, at);
                    // What is told together counts from the last settlement on. Here each is told with a question.
                    let never = Demand { tokens: u64::MAX, ..Demand::default() };
                    prop_assert!(runtime.block_on(store.reserve(&key, &limits[0], never, at)).is_err());
                }
                Step::Settle { .. } => {}
            }
        }
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(store.close());
}
