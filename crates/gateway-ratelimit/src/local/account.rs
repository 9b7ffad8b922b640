//! One account: what is spent of each of its limits, decided and changed together.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::spending::{Overspent, Spending};
use crate::{Bucket, BudgetWindow, Demand, Denial, DenialCause, Levels, Limits, Quota, Reservation, Shortage, Used};

/// A moment as accounts count it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// Whole microseconds since the store's base.
    pub(super) micros: u64,
    /// By the calendar.
    pub(super) wall: Timestamp,
}

/// What was taken, apart from what the caller has said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) window: Option<BudgetWindow>,
    pub(super) levels: Levels,
}

/// What one account has spent of its limits.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Those of the last call.
    limits: Arc<Limits>,
    /// One for each of the request quotas.
    requests: Vec<Bucket>,
    tokens: Bucket,
    pub(super) in_flight: u32,
    pub(super) spending: Spending,
    /// Whether it is no longer in the map, or is just leaving it.
    pub(super) is_gone: bool,
}

impl Account {
    /// Takes from every limit or from none.
    pub(super) fn reserve(&mut self, limits: &Arc<Limits>, demand: Demand, at: Stamp) -> Result<Taken, Denial> {
        self.adopt(limits, at.micros);
        let window = match self.admit(demand, at) {
            Ok(window) => window,
            Err(Refusal { cause, retry_after }) => {
                return Err(Denial { cause, retry_after, levels: self.levels(at.micros) });
            }
        };
        for (quota, bucket) in limits.requests.iter().zip(&mut self.requests) {
            bucket.take(quota, 1, at.micros);
        }
        if let Some(quota) = &limits.tokens {
            self.tokens.take(quota, demand.tokens, at.micros);
        }
        if let Some(window) = window {
            self.spending.reserve(window, demand.cost);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Ok(Taken { window, levels: self.levels(at.micros) })
    }

    /// Puts what a call used in the place of what it took. True: the account has to be listed among those with something
    /// to record.
    pub(super) fn settle(&mut self, reservation: &Reservation, used: Used, at: Stamp) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        // A limit of tokens that was added meanwhile is not asked for a call that it was not asked for before.
        if let Some(quota) = self.limits.tokens.filter(|_| reservation.limits.tokens.is_some()) {
            self.tokens.settle(&quota, reservation.taken.tokens, used.tokens, at.micros);
        }
        let money = |window| self.spending.settle(window, reservation.taken.cost, used.cost);
        reservation.window.is_some_and(money)
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&mut self, at: Stamp) -> bool {
        let is_full = |bucket: &Bucket| bucket.backlog(at.micros) == 0;
        let is_unused = self.in_flight == 0 && is_full(&self.tokens) && self.requests.iter().all(is_full);
        is_unused && self.spending.forget_past(at.wall)
    }

    /// The window of the budget that the money comes from, or what is in the way.
    fn admit(&mut self, demand: Demand, at: Stamp) -> Result<Option<BudgetWindow>, Refusal> {
        let limits = &*self.limits;
        if limits.is_blocked() {
            return Err(Refusal { cause: DenialCause::Blocked, retry_after: None });
        }
        let mut worst = None;
        for (quota, bucket) in limits.requests.iter().zip(&self.requests) {
            let found = bucket.check(quota, 1, at.micros);
            note(&mut worst, found.map_err(|shortage| Refusal::of_quota(DenialCause::Requests, shortage)));
        }
        if let Some(quota) = &limits.tokens {
            let cause = DenialCause::Tokens { needed: demand.tokens, limit: quota.burst() };
            let found = self.tokens.check(quota, demand.tokens, at.micros);
            note(&mut worst, found.map_err(|shortage| Refusal::of_quota(cause, shortage)));
        }
        if let Some(limit) = limits.max_concurrent.filter(|limit| self.in_flight >= *limit) {
            note::<()>(&mut worst, Err(Refusal { cause: DenialCause::Concurrency { limit }, retry_after: None }));
        }
        let window = limits.budget.and_then(|budget| {
            let found = self.spending.check(&budget, demand.cost, at.wall);
            note(&mut worst, found.map_err(Refusal::of_budget))
        });
        worst.map_or(Ok(window), Err)
    }

    fn levels(&self, now: u64) -> Levels {
        let level = |quota: &Quota, bucket: Bucket| quota.level(bucket.backlog(now));
        let requests = self.limits.requests.iter().zip(&self.requests).map(|(quota, bucket)| level(quota, *bucket));
        Levels {
            requests: requests.min_by_key(|it| it.remaining),
            tokens: self.limits.tokens.map(|quota| level(&quota, self.tokens)),
        }
    }

    /// Goes on with other limits. What was spent of a quota stays spent of the one of the same period; what was spent of
    /// one that is gone stays spent of those that are new.
    fn adopt(&mut self, limits: &Arc<Limits>, now: u64) {
        if Arc::ptr_eq(&self.limits, limits) {
            return;
        }
        if self.limits != *limits {
            self.requests = self.converted_requests(&limits.requests, now);
            self.tokens = match (self.limits.tokens, limits.tokens) {
                (Some(from), Some(to)) => self.tokens.converted(&from, &to, now),
                _ => Bucket::default(),
            };
        }
        self.limits = Arc::clone(limits);
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

/// Why a call is not let through.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    cause: DenialCause,
    retry_after: Option<Duration>,
}

impl Refusal {
    fn of_quota(cause: DenialCause, shortage: Shortage) -> Self {
        let retry_after = match shortage {
            Shortage::Until(micros) => Some(Duration::from_micros(micros)),
            Shortage::Forever => None,
        };
        Self { cause, retry_after }
    }

    fn of_budget(overspent: Overspent) -> Self {
        let retry_after = match overspent {
            Overspent::Until(wait) => Some(wait),
            Overspent::Forever => None,
        };
        Self { cause: DenialCause::Budget, retry_after }
    }

    /// Whether this one has to be waited for longer.
    fn outlasts(&self, other: &Self) -> bool {
        match (self.retry_after, other.retry_after) {
            (Some(own), Some(other)) => own > other,
            (None, other) => other.is_some(),
            (Some(_), None) => false,
        }
    }
}

/// Keeps the refusal that has to be waited for the longest, the first of equals.
fn note<T>(worst: &mut Option<Refusal>, found: Result<T, Refusal>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(refusal) => {
            if worst.is_none_or(|it| refusal.outlasts(&it)) {
                *worst = Some(refusal);
            }
            None
        }
    }
}
