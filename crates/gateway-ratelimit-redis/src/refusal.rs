//! What a caller is told of its limits, from the numbers that Redis has answered: the same words for the same numbers as
//! [`gateway_ratelimit::LocalLimits`] has.

use std::time::Duration;

use gateway_ratelimit::{Budget, Demand, Denial, DenialCause, Levels, Limits, Quota};
use jiff::Timestamp;

use crate::script::{Answer, buckets};

/// How much is left of the limits, and how much is in the way.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    limits: &'a Limits,
    demand: Demand,
    /// Of each bucket, in the order in which they are asked for: how far it is from full, in microseconds.
    backlogs: Vec<u64>,
    in_flight: u64,
    committed: u64,
}

/// A limit in the way.
#[derive(Debug, Clone, Copy)]
struct Obstacle {
    cause: DenialCause,
    wait: Wait,
}

/// How long it is in the way; the longer, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    For(Duration),
    Forever,
}

impl<'a> Standing<'a> {
    /// What the answer says of an account. Buckets that it does not mention are full.
    pub(crate) fn of(limits: &'a Limits, demand: Demand, answer: &Answer) -> Self {
        let backlogs = answer.arrivals.iter().map(|arrival| arrival.saturating_sub(answer.clock)).collect();
        Self { limits, demand, backlogs, in_flight: answer.in_flight, committed: answer.committed }
    }

    /// That of an account of which nothing is known.
    pub(crate) fn unknown(limits: &'a Limits, demand: Demand) -> Self {
        Self { limits, demand, backlogs: Vec::new(), in_flight: 0, committed: 0 }
    }

    pub(crate) fn levels(&self) -> Levels {
        let level = |at: usize, quota: &Quota| quota.level(self.backlog(at));
        let requests = self.limits.requests.iter().enumerate().map(|(at, quota)| level(at, quota));
        Levels {
            requests: requests.min_by_key(|level| level.remaining),
            tokens: self.limits.tokens.map(|quota| level(self.limits.requests.len(), &quota)),
        }
    }

    /// Why the call is refused. Of several reasons it is the one that has to be waited for the longest, the first of equals.
    pub(crate) fn denial(&self, wall: Timestamp) -> Denial {
        let mut worst: Option<Obstacle> = None;
        for obstacle in self.obstacles(wall) {
            if worst.is_none_or(|worst| obstacle.wait > worst.wait) {
                worst = Some(obstacle);
            }
        }
        let retry_after = worst.and_then(|worst| match worst.wait {
            Wait::For(wait) => Some(wait),
            Wait::Forever => None,
        });
        // Redis refuses nothing without one of these reasons.
        let cause = worst.map_or(DenialCause::Unavailable, |worst| worst.cause);
        Denial { cause, retry_after, levels: self.levels() }
    }

    fn obstacles(&self, wall: Timestamp) -> Vec<Obstacle> {
        if self.limits.is_blocked() {
            return vec![Obstacle { cause: DenialCause::Blocked, wait: Wait::Forever }];
        }
        let quotas = buckets(self.limits, self.demand).enumerate().filter_map(|(at, (quota, units))| {
            let wait = missing(quota, units, self.backlog(at))?;
            Some(Obstacle { cause: self.cause_of(at, quota), wait })
        });
        let concurrency = self.limits.max_concurrent.filter(|limit| self.in_flight >= u64::from(*limit));
        let concurrency =
            concurrency.map(|limit| Obstacle { cause: DenialCause::Concurrency { limit }, wait: Wait::Forever });
        let budget = self.limits.budget.and_then(|budget| self.missing_money(&budget, wall));
        let budget = budget.map(|wait| Obstacle { cause: DenialCause::Budget, wait });
        quotas.chain(concurrency).chain(budget).collect()
    }

    fn cause_of(&self, at: usize, quota: &Quota) -> DenialCause {
        if at < self.limits.requests.len() {
            DenialCause::Requests
        } else {
            DenialCause::Tokens { needed: self.demand.tokens, limit: quota.burst() }
        }
    }

    /// How long until there is enough money; none if there is.
    fn missing_money(&self, budget: &Budget, wall: Timestamp) -> Option<Wait> {
        let left = budget.limit.0.saturating_sub(self.committed);
        if left > 0 && self.demand.cost.0 <= left {
            return None;
        }
        let is_ever_enough = budget.limit.0 > 0 && self.demand.cost <= budget.limit;
        let end = budget.period.window(wall).end().filter(|_| is_ever_enough);
        let wait = end.map(|end| Duration::try_from(wall.duration_until(end)).unwrap_or_default());
        Some(wait.map_or(Wait::Forever, Wait::For))
    }

    fn backlog(&self, at: usize) -> u64 {
        self.backlogs.get(at).copied().unwrap_or(0)
    }
}

/// How long until so many units are there; none if they are.
fn missing(quota: &Quota, units: u64, backlog: u64) -> Option<Wait> {
    if units > quota.burst() {
        return Some(Wait::Forever);
    }
    let missing = backlog.saturating_add(quota.time_of(units)).saturating_sub(quota.capacity());
    (missing > 0).then(|| Wait::For(Duration::from_micros(missing)))
}
