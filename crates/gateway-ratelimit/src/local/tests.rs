mod laws;
mod look;
mod model;
mod money;
mod sharing;

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::{Budget, BudgetPeriod, RateLimit};

/// 2026-01-31 23:59:50 UTC: ten seconds before a day and a month end.
const START: Timestamp = Timestamp::constant(1_769_903_990, 0);

#[expect(clippy::disallowed_methods, reason = "an instant cannot be had otherwise, and any will do")]
fn any_instant() -> Instant {
    Instant::now()
}

/// A store and its time, in microseconds since the start.
#[derive(Debug)]
struct Bench {
    store: LocalLimits,
    base: Instant,
}

impl Bench {
    fn new() -> Self {
        let base = any_instant();
        Self { store: LocalLimits::new(base), base }
    }

    fn at(&self, micros: u64) -> Moment {
        let since = Duration::from_micros(micros);
        Moment { now: self.base + since, wall: START + since }
    }

    fn reserve(&self, key: &str, limits: &Arc<Limits>, demand: Demand, micros: u64) -> Result<Reservation, Denial> {
        self.store.decide(&key.into(), limits, demand, self.at(micros))
    }

    /// A call that costs so much.
    fn paid(&self, key: &str, limits: &Arc<Limits>, cost: u64, micros: u64) -> Result<Reservation, Denial> {
        self.reserve(key, limits, Demand { tokens: 0, cost: NanoUsd(cost) }, micros)
    }

    fn settle(&self, reservation: Reservation, cost: u64, micros: u64) {
        self.store.settle(reservation, Used { tokens: 0, cost: NanoUsd(cost) }, self.at(micros));
    }
}

fn limits(rate_limit: &RateLimit, budget: Option<Budget>) -> Arc<Limits> {
    Arc::new(rate_limit.limits(budget).unwrap())
}

fn budget(limit: u64, period: BudgetPeriod) -> Arc<Limits> {
    limits(&RateLimit::default(), Some(Budget { limit: NanoUsd(limit), period }))
}
