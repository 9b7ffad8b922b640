//! How many retries a provider still takes.
//!
//! If every call to a failing provider is tried three times, an outage costs it three times its load, at the worst moment. The
//! budget ties retries to the calls that the provider gets anyway, so that whatever fails, its load grows by a fixed share.
//! Finagle's `RetryBudget` has the same default, a fifth and ten a second; "Site Reliability Engineering" (Google, 2016,
//! chapter 21) uses a tenth.
//!
//! A retry spends what was paid in during the ten seconds that end with its own, and it is remembered for as long as any of
//! that is. So nothing is spent twice, and what is granted in any length of time is paid for by the calls of that time and of
//! the nine seconds before it. (Bounding each window of ten seconds by its own calls alone would be stricter, but only by
//! granting nothing for calls of the seconds before.)

use std::time::Instant;

use parking_lot::Mutex;

use crate::epoch::Epoch;
use crate::ring::{PERIODS, Ring};
use crate::tally::Tally;

/// How far back deposits and withdrawals count, in seconds.
const WINDOW: u64 = PERIODS as u64;

/// How large a provider's budget for retries is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetPolicy {
    /// Retries granted for each call. With 0.2, five calls pay for a retry.
    pub ratio: f64,
    /// Retries granted on average in each second even without calls, so that providers with little traffic have retries
    /// too. They may all be used in one second of ten.
    pub min_per_second: f64,
}

impl Default for BudgetPolicy {
    fn default() -> Self {
        Self { ratio: 0.2, min_per_second: 10.0 }
    }
}

/// The retries that one provider still takes.
///
/// Time is counted in whole seconds since it was made. Moments may come a little out of order, as they do from several
/// threads; that never grants more than is due.
#[derive(Debug)]
pub struct RetryBudget {
    policy: BudgetPolicy,
    epoch: Epoch,
    /// The calls of each second. On the path of every call, so without a lock.
    deposits: [Tally; PERIODS],
    /// The retries of each second. To look and to take must be one step, so these are locked.
    withdrawals: Mutex<Ring<u32>>,
}

impl RetryBudget {
    /// A budget that begins with what is granted without calls.
    pub fn new(policy: BudgetPolicy, now: Instant) -> Self {
        Self { policy, epoch: Epoch::new(now), deposits: Default::default(), withdrawals: Mutex::default() }
    }

    /// Pays in for a call, at its first attempt at this provider.
    pub fn deposit(&self, now: Instant) {
        let second = self.epoch.periods(now, 1);
        self.deposits[(second % WINDOW) as usize].add(second);
    }

    /// Takes out one retry. False: there is none, and it must not be made.
    ///
    /// It is granted if the retries of the ten seconds that end with this one, it included, are at most `ratio` times the
    /// deposits of the same seconds and ten times `min_per_second`.
    pub fn withdraw(&self, now: Instant) -> bool {
        let mut withdrawals = self.withdrawals.lock();
        let is_granted = self.covers_another(&mut withdrawals, now);
        if is_granted {
            *withdrawals.latest() += 1;
        }
        is_granted
    }

    /// Whether a retry would be granted now. One that is only due later need not be waited for if not.
    pub fn has_room(&self, now: Instant) -> bool {
        self.covers_another(&mut self.withdrawals.lock(), now)
    }

    fn covers_another(&self, withdrawals: &mut Ring<u32>, now: Instant) -> bool {
        let second = withdrawals.advance(self.epoch.periods(now, 1));
        let window = second.saturating_sub(WINDOW - 1)..=second;
        let deposits: f64 = self.deposits.iter().map(|it| f64::from(it.count(&window))).sum();
        let withdrawn: f64 = withdrawals.iter().map(f64::from).sum();
        self.policy.covers(withdrawn + 1.0, deposits)
    }
}

impl BudgetPolicy {
    /// Whether so many retries are within what so many calls pay for, over ten seconds.
    fn covers(self, retries: f64, calls: f64) -> bool {
        let beyond_floor = retries - self.min_per_second * 10.0;
        // Divided rather than multiplied: 29 / 100 is the very number that 0.29 is read as, 0.29 * 100 is less than 29.
        beyond_floor <= 0.0 || beyond_floor / calls <= self.ratio
    }
}

#[cfg(test)]
mod tests;
