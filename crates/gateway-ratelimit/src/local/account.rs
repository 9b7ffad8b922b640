//! One account: what is spent of each of its limits, decided and changed together.

use std::sync::Arc;

use jiff::Timestamp;

use super::spending::Spending;
use crate::{Bucket, BudgetWindow, Demand, Denial, Levels, Limits, NanoUsd, Quota, Reservation, Standing, Taken, Used};

/// A moment as accounts count it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// Whole microseconds since the store's base.
    pub(super) micros: u64,
    /// By the calendar.
    pub(super) wall: Timestamp,
}

/// What one account has spent of its limits.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Those of the last call.
    limits: Arc<Limits>,
    /// One for each of the request quotas.
    requests: Vec<Bucket>,
    tokens: Bucket,
    /// The latest moment that it was asked at. Whoever is behind it was overtaken on the way, and is counted as if it came
    /// now: by its own time the bucket would not be as full yet as it is.
    clock: u64,
    pub(super) in_flight: u32,
    pub(super) spending: Spending,
    /// Whether it is no longer in the map, or is just leaving it.
    pub(super) is_gone: bool,
}

impl Account {
    /// Takes from every limit or from none, and says what is left.
    pub(super) fn reserve(
        &mut self,
        limits: &Arc<Limits>,
        demand: Demand,
        at: Stamp,
    ) -> Result<(Taken, Levels), Denial> {
        let now = self.adopt(limits, at);
        let window = limits.budget.map(|budget| self.spending.window(&budget, at.wall));
        self.standing(demand, window).check(at.wall)?;
        for (quota, bucket) in limits.requests.iter().zip(&mut self.requests) {
            bucket.take(quota, 1, now);
        }
        if let Some(quota) = &limits.tokens {
            self.tokens.take(quota, demand.tokens, now);
        }
        if let Some(window) = window {
            self.spending.reserve(window, demand.cost);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Ok((Taken { demand, window }, self.standing(demand, window).levels()))
    }

    /// What is left of these limits.
    pub(super) fn levels(&mut self, limits: &Arc<Limits>, at: Stamp) -> Levels {
        self.adopt(limits, at);
        self.standing(Demand::default(), None).levels()
    }

    /// Puts what a call used in the place of what it took. True: the account has to be listed among those with something
    /// to record.
    pub(super) fn settle(&mut self, reservation: &Reservation, used: Used, at: Stamp) -> bool {
        let Taken { demand, window } = reservation.taken();
        let now = self.pass_to(at);
        self.in_flight = self.in_flight.saturating_sub(1);
        // A limit of tokens that was added meanwhile is not asked for a call that it was not asked for before.
        if let Some(quota) = self.limits.tokens.filter(|_| reservation.limits().tokens.is_some()) {
            self.tokens.settle(&quota, demand.tokens, used.tokens, now);
        }
        window.is_some_and(|window| self.spending.settle(window, demand.cost, used.cost))
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&mut self, at: Stamp) -> bool {
        let is_full = |bucket: &Bucket| bucket.backlog(at.micros) == 0;
        let is_unused = self.in_flight == 0 && is_full(&self.tokens) && self.requests.iter().all(is_full);
        is_unused && self.spending.forget_past(at.wall)
    }

    fn standing(&self, demand: Demand, window: Option<BudgetWindow>) -> Standing<'_> {
        Standing {
            limits: &self.limits,
            demand,
            requests: &self.requests,
            tokens: self.tokens,
            now: self.clock,
            in_flight: self.in_flight.into(),
            committed: window.map_or(NanoUsd(0), |window| self.spending.committed(window)),
        }
    }

    fn pass_to(&mut self, at: Stamp) -> u64 {
        self.clock = self.clock.max(at.micros);
        self.clock
    }

    /// Goes on with these limits, and says what time it is. What was spent of a quota stays spent of the one of the same period; what was spent of
    /// one that is gone stays spent of those that are new.
    fn adopt(&mut self, limits: &Arc<Limits>, at: Stamp) -> u64 {
        let now = self.pass_to(at);
        if Arc::ptr_eq(&self.limits, limits) {
            return now;
        }
        if self.limits != *limits {
            self.requests = self.converted_requests(&limits.requests, now);
            self.tokens = match (self.limits.tokens, limits.tokens) {
                (Some(from), Some(to)) => self.tokens.converted(&from, &to, now),
                _ => Bucket::default(),
            };
        }
        self.limits = Arc::clone(limits);
        now
    }

    fn converted_requests(&self, quotas: &[Quota], now: u64) -> Vec<Bucket> {
        let mut old: Vec<_> = self.limits.requests.iter().zip(self.requests.iter().copied()).collect();
        let of_same_period = |quota: &Quota| {
            let at = old.iter().position(|(from, _)| from.period() == quota.period())?;
            Some(old.remove(at))
        };
        let kept: Vec<_> = quotas.iter().map(of_same_period).collect();
        let bucket = |(quota, kept): (&Quota, Option<(&Quota, Bucket)>)| {
            let heirs = kept.as_slice().iter().chain(if kept.is_none() { old.as_slice() } else { &[] });
            let converted = heirs.map(|(from, bucket)| bucket.converted(from, quota, now));
            converted.max_by_key(|bucket| bucket.backlog(now)).unwrap_or_default()
        };
        quotas.iter().zip(kept).map(bucket).collect()
    }
}
