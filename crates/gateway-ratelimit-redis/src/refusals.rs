//! What Redis has refused, for as long as it is sure to refuse it again.
//!
//! A key whose requests are used up stays so until the time that it was told, as nobody gives requests back. So whoever calls
//! before that is refused without a question, and before the gateway takes in the body. Tokens, money and places may come back
//! at any moment, and are asked for each time. So may requests if Redis is lost, or forgets; hence nobody goes by what was
//! said more than a second ago.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_ratelimit::{Denial, DenialCause, Limits};
use parking_lot::RwLock;

/// For how long a refusal is gone by.
const HOLDS: Duration = Duration::from_secs(1);

/// The last refusal of each account that is short of requests.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    by_account: RwLock<HashMap<Arc<str>, Refusal>>,
}

#[derive(Debug)]
struct Refusal {
    limits: Arc<Limits>,
    denial: Denial,
    told: Instant,
    until: Instant,
}

impl Refusals {
    /// Notes what was refused, if it is such a refusal. The wait counts from `now`, when it is told.
    pub(crate) fn note(&self, account: &Arc<str>, limits: &Arc<Limits>, denial: &Denial, now: Instant) {
        let DenialCause::Requests { .. } = denial.cause else { return };
        let Some(until) = denial.retry_after.and_then(|wait| now.checked_add(wait)) else { return };
        let refusal = Refusal { limits: Arc::clone(limits), denial: denial.clone(), told: now, until };
        self.by_account.write().insert(Arc::clone(account), refusal);
    }

    /// The denial of whoever is sure to be refused, with the rest of the wait.
    pub(crate) fn check(&self, account: &str, limits: &Limits, now: Instant) -> Result<(), Denial> {
        let refusals = self.by_account.read();
        match refusals.get(account) {
            Some(refusal) if *refusal.limits == *limits && refusal.holds(now) => Err(refusal.denial_at(now)),
            _ => Ok(()),
        }
    }

    /// Forgets what no longer holds.
    pub(crate) fn sweep(&self, now: Instant) {
        self.by_account.write().retain(|_, refusal| refusal.holds(now));
    }
}

impl Refusal {
    fn holds(&self, now: Instant) -> bool {
        now < self.until && now.saturating_duration_since(self.told) < HOLDS
    }

    fn denial_at(&self, now: Instant) -> Denial {
        let elapsed = now.saturating_duration_since(self.told);
        let mut denial = self.denial.clone();
        denial.retry_after = Some(self.until.saturating_duration_since(now));
        let levels = [&mut denial.levels.requests, &mut denial.levels.tokens];
        for level in levels.into_iter().flatten() {
            level.reset = level.reset.saturating_sub(elapsed);
        }
        denial
    }
}

#[cfg(test)]
mod tests;
