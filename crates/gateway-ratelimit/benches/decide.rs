//! What a decision costs: one call, reserved and settled.
//!
//! `cargo bench -p gateway-ratelimit`

use std::future::Future as _;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use gateway_ratelimit::{
    Budget, BudgetPeriod, Demand, LimitStore, Limits, LocalLimits, Moment, NanoUsd, RateLimit, Used,
};
use jiff::Timestamp;

/// A store and its time, which passes by 10 microseconds a call. The calendar stands still: to move it costs more than to
/// read it.
struct Bench {
    store: LocalLimits,
    at: Moment,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "an instant cannot be had otherwise, and any will do")]
    fn new() -> Self {
        let now = Instant::now();
        Self { store: LocalLimits::new(now), at: Moment { now, wall: Timestamp::constant(1_769_903_990, 0) } }
    }

    fn call(&mut self, key: &Arc<str>, limits: &Arc<Limits>) {
        self.at.now += Duration::from_micros(10);
        let demand = Demand { tokens: 1_000, cost: NanoUsd(1_000) };
        let answer = std::pin::pin!(self.store.reserve(key, limits, demand, self.at));
        if let Poll::Ready(Ok(reservation)) = answer.poll(&mut Context::from_waker(Waker::noop())) {
            self.store.settle(black_box(reservation), Used { tokens: 300, cost: NanoUsd(300) }, self.at);
        }
    }
}

fn one_quota() -> Arc<Limits> {
    let rate_limit = RateLimit { requests_per_second: Some(1_000_000), ..RateLimit::default() };
    Arc::new(rate_limit.limits(None).unwrap_or_default())
}

fn all_limits() -> Arc<Limits> {
    let rate_limit = RateLimit {
        requests_per_second: Some(1_000_000),
        requests_per_minute: Some(60_000_000),
        tokens_per_minute: Some(900_000_000_000),
        max_concurrent: Some(100),
        limit: Some(3_000_000_000),
        period_seconds: Some(3_600),
        ..RateLimit::default()
    };
    let budget = Budget { limit: NanoUsd(u64::MAX), period: BudgetPeriod::Month };
    Arc::new(rate_limit.limits(Some(budget)).unwrap_or_default())
}

fn decide(criterion: &mut Criterion) {
    let key: Arc<str> = "key-0000000000000000".into();
    for (name, limits) in [("one quota", one_quota()), ("all limits", all_limits())] {
        let mut bench = Bench::new();
        criterion.bench_function(name, |bencher| bencher.iter(|| bench.call(&key, &limits)));
    }
    let keys: Vec<Arc<str>> = (0..100_000).map(|number| format!("key-{number:016}").into()).collect();
    let (mut bench, limits, mut next) = (Bench::new(), one_quota(), 0);
    for key in &keys {
        bench.call(key, &limits);
    }
    criterion.bench_function("one quota, 100,000 accounts", |bencher| {
        bencher.iter(|| {
            // A stride that visits all of them, far from each other.
            next = (next + 38_197) % keys.len();
            bench.call(&keys[next], &limits);
        });
    });
}

criterion_group!(benches, decide);
criterion_main!(benches);
