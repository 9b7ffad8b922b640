//! What is in the way of a call, whoever keeps the count: backends fill in what is spent, and the verdict on it, its words and
//! the wait are the same for all of them.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Bucket, Budget, Demand, Denial, DenialCause, Levels, Limits, NanoUsd, Quota, RequestQuotas, Shortage};

/// What is spent of one account's limits, and the call that asks for more.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The limits of the call.
    pub limits: &'a Limits,
    /// What the call needs.
    pub demand: Demand,
    /// One for each place of [`RequestQuotas`].
    pub requests: [Bucket; RequestQuotas::SLOTS],
    /// That of the tokens.
    pub tokens: Bucket,
    /// The time, in microseconds of the clock that the buckets go by.
    pub now: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// Money that is spent, or kept back for calls under way, in the present window of the budget.
    pub committed: NanoUsd,
}

/// A limit in the way.
#[derive(Debug, Clone, Copy)]
struct Obstacle {
    cause: DenialCause,
    /// Until it is no longer in the way; none if it always is.
    wait: Option<Duration>,
}

impl<'a> Standing<'a> {
    /// That of an account of which nothing is spent.
    pub fn unspent(limits: &'a Limits, demand: Demand) -> Self {
        let (requests, tokens) = Default::default();
        Self { limits, demand, requests, tokens, now: 0, in_flight: 0, committed: NanoUsd(0) }
    }

    /// Whether the call may be made; takes nothing.
    pub fn check(&self, wall: Timestamp) -> Result<(), Denial> {
        let is_blocked = self.limits.is_blocked();
        let blocked = is_blocked.then_some(Obstacle { cause: DenialCause::Blocked, wait: None });
        match blocked.or_else(|| self.longest_obstacle(wall)) {
            None => Ok(()),
            Some(Obstacle { cause, wait }) => Err(Denial { cause, retry_after: wait, levels: self.levels() }),
        }
    }

    /// How much is left of the quotas.
    pub fn levels(&self) -> Levels {
        let level = |quota: &Quota, bucket: Bucket| quota.level(bucket.backlog(self.now));
        Levels {
            requests: self.requests().map(|(quota, bucket)| level(quota, bucket)).min_by_key(|it| it.remaining),
            tokens: self.limits.tokens.map(|quota| level(&quota, self.tokens)),
        }
    }

    /// Of several, the one that has to be waited for the longest, the first of equals.
    fn longest_obstacle(&self, wall: Timestamp) -> Option<Obstacle> {
        let requests = self.requests().filter_map(|(quota, bucket)| {
            let cause = DenialCause::Requests { limit: quota.limit(), period: quota.period() };
            self.shortage(quota, bucket, 1, cause)
        });
        let tokens = self.limits.tokens.as_ref().and_then(|quota| {
            let cause = DenialCause::Tokens { needed: self.demand.tokens, limit: quota.burst() };
            self.shortage(quota, self.tokens, self.demand.tokens, cause)
        });
        let places = self.limits.max_concurrent.filter(|limit| self.in_flight >= u64::from(*limit));
        let places = places.map(|limit| Obstacle { cause: DenialCause::Concurrency { limit }, wait: None });
        let money = self.limits.budget.and_then(|budget| self.missing_money(&budget, wall));
        let all = requests.chain(tokens).chain(places).chain(money);
        all.reduce(|longest, next| if next.outlasts(&longest) { next } else { longest })
    }

    fn shortage(&self, quota: &Quota, bucket: Bucket, units: u64, cause: DenialCause) -> Option<Obstacle> {
        let wait = match bucket.check(quota, units, self.now).err()? {
            Shortage::Until(micros) => Some(Duration::from_micros(micros)),
            Shortage::Forever => None,
        };
        Some(Obstacle { cause, wait })
    }

    /// With nothing left, not even a call that costs nothing is within the budget.
    fn missing_money(&self, budget: &Budget, wall: Timestamp) -> Option<Obstacle> {
        let (limit, cost) = (budget.limit.0, self.demand.cost.0);
        let left = limit.saturating_sub(self.committed.0);
        if left > 0 && cost <= left {
            return None;
        }
        let is_ever_enough = limit > 0 && cost <= limit;
        let next = is_ever_enough.then(|| budget.period.window(wall).end()).flatten();
        let wait = next.map(|next| Duration::try_from(wall.duration_until(next)).unwrap_or_default());
        Some(Obstacle { cause: DenialCause::Budget, wait })
    }

    fn requests(&self) -> impl Iterator<Item = (&Quota, Bucket)> {
        let slots = self.limits.requests.slots().iter().zip(self.requests);
        slots.filter_map(|(quota, bucket)| Some((quota.as_ref()?, bucket)))
    }
}

impl Obstacle {
    fn outlasts(&self, other: &Self) -> bool {
        match (self.wait, other.wait) {
            (Some(own), Some(other)) => own > other,
            (None, other) => other.is_some(),
            (Some(_), None) => false,
        }
    }
}
