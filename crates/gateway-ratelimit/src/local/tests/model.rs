//! The limits of one account again, as credit that runs full, written without a look at how they are kept.

use std::collections::BTreeMap;

use crate::{BudgetPeriod, Demand, Limits, Quota};

/// Microseconds of a day.
const DAY: u64 = 86_400_000_000;

/// One quota's credit, in microseconds.
#[derive(Debug, Clone)]
struct Meter {
    /// What one lot of units costs: a request by itself, tokens all together.
    is_whole: bool,
    limit: u128,
    period: u128,
    full: i128,
    credit: i128,
    burst: u64,
}

impl Meter {
    fn new(quota: &Quota, is_whole: bool) -> Self {
        let (limit, period) = (u128::from(quota.limit()), quota.period().as_micros());
        let mut meter = Self { is_whole, limit, period, full: 0, credit: 0, burst: quota.burst() };
        let grace = if is_whole || limit == 0 || period % limit == 0 { 0 } else { (period / limit).min(100) };
        if limit > 0 {
            meter.full = meter.cost(quota.burst()) + i128::try_from(grace).unwrap();
        }
        meter.credit = meter.full;
        meter
    }

    /// The documented rounding: the least whole number of microseconds in which the rate makes as much.
    fn cost(&self, units: u64) -> i128 {
        let made_in = |units: u128| (units * self.period).div_ceil(self.limit);
        let cost = if self.is_whole { u128::from(units) * made_in(1) } else { made_in(units.into()) };
        i128::try_from(cost).unwrap()
    }

    fn pass(&mut self, micros: u64) {
        self.credit = self.full.min(self.credit + i128::from(micros));
    }

    fn has(&self, units: u64) -> bool {
        self.limit > 0 && self.burst > 0 && units <= self.burst && self.cost(units) <= self.credit
    }

    fn remaining_is(&self, remaining: u64) -> bool {
        if self.limit == 0 || self.burst == 0 {
            return remaining == 0;
        }
        let fits = |units| self.cost(units) <= self.credit;
        let is_most = remaining == self.burst || !fits(remaining + 1);
        remaining <= self.burst && is_most && (remaining == 0 || fits(remaining))
    }
}

/// All of them. Time is passed to it and never read.
#[derive(Debug, Clone)]
pub(super) struct Model {
    requests: Vec<Meter>,
    tokens: Option<Meter>,
    limits: Limits,
    in_flight: u64,
    /// By the number of the window: what is spent, what is reserved.
    money: BTreeMap<u64, (u64, u64)>,
    now: u64,
}

impl Model {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            requests: limits.requests.iter().map(|quota| Meter::new(quota, true)).collect(),
            tokens: limits.tokens.iter().map(|quota| Meter::new(quota, false)).next(),
            limits: limits.clone(),
            in_flight: 0,
            money: BTreeMap::new(),
            now: 0,
        }
    }

    pub(super) fn pass(&mut self, micros: u64) {
        self.now += micros;
        self.requests.iter_mut().chain(&mut self.tokens).for_each(|meter| meter.pass(micros));
    }

    /// The clock begins ten seconds before a midnight.
    pub(super) fn window(&self) -> u64 {
        match self.limits.budget.map(|budget| budget.period) {
            Some(BudgetPeriod::Day) => (self.now + DAY - 10_000_000) / DAY,
            _ => 0,
        }
    }

    fn has_money(&self, cost: u64) -> bool {
        let (spent, reserved) = self.money.get(&self.window()).copied().unwrap_or_default();
        self.limits.budget.is_none_or(|budget| {
            let left = budget.limit.0.saturating_sub(spent + reserved);
            left > 0 && cost <= left
        })
    }

    pub(super) fn admits(&self, demand: Demand) -> bool {
        self.requests.iter().all(|meter| meter.has(1))
            && self.tokens.iter().all(|meter| meter.has(demand.tokens))
            && self.limits.max_concurrent.is_none_or(|most| self.in_flight < most.into())
            && self.has_money(demand.cost.0)
    }

    /// Whether it would, so much later.
    pub(super) fn admits_after(&self, demand: Demand, micros: u64) -> bool {
        let mut later = self.clone();
        later.pass(micros);
        later.admits(demand)
    }

    pub(super) fn take(&mut self, demand: Demand) {
        let window = self.window();
        self.requests.iter_mut().for_each(|meter| meter.credit -= meter.cost(1));
        self.tokens.iter_mut().for_each(|meter| meter.credit -= meter.cost(demand.tokens));
        self.in_flight += 1;
        self.money.entry(window).or_default().1 += demand.cost.0;
    }

    pub(super) fn settle(&mut self, window: u64, taken: Demand, used: Demand) {
        if let Some(meter) = &mut self.tokens {
            // Of what is given back, part of a microsecond is lost.
            let lot = taken.tokens.saturating_sub(used.tokens);
            let back = u128::from(lot) * meter.period / meter.limit.max(1);
            meter.credit = meter.full.min(meter.credit + i128::try_from(back).unwrap());
            meter.credit -= meter.cost(used.tokens.saturating_sub(taken.tokens));
        }
        self.in_flight -= 1;
        let (spent, reserved) = self.money.entry(window).or_default();
        *reserved -= taken.cost.0;
        *spent += used.cost.0;
    }

    pub(super) fn requests_remaining_are(&self, remaining: Option<u64>) -> bool {
        match remaining {
            None => self.requests.is_empty(),
            Some(remaining) => {
                let could_be = |units| self.requests.iter().any(|meter| meter.remaining_is(units));
                let fewer = (0..remaining).any(could_be);
                could_be(remaining) && !fewer
            }
        }
    }

    pub(super) fn tokens_remaining_are(&self, remaining: Option<u64>) -> bool {
        match (&self.tokens, remaining) {
            (None, None) => true,
            (Some(meter), Some(remaining)) => meter.remaining_is(remaining),
            _ => false,
        }
    }

    /// What is missing of the tokens, in microseconds: what is spent of them.
    pub(super) fn tokens_spent(&self) -> Option<u128> {
        self.tokens.as_ref().map(|meter| (meter.full - meter.credit).unsigned_abs())
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Everything that was spent, in all windows.
    pub(super) fn spent(&self) -> u64 {
        self.money.values().map(|(spent, _)| spent).sum()
    }
}
