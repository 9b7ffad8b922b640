//! Limits of this process alone, in its memory.
//!
//! Accounts are in a concurrent map, each behind a lock of its own: a decision about one reads and changes all of its limits
//! in one step, and calls of different accounts never wait for each other. An account that is removed is marked, so that
//! whoever was about to use it starts again with a new one.

mod account;
mod rates;
mod spending;

use std::sync::Arc;
use std::time::Instant;

use gateway_extension::Answer;
use papaya::HashMap;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use self::account::{Account, Stamp};
use crate::{
    BudgetWindow, Demand, Denial, Levels, LimitStore, Limits, Moment, NanoUsd, Origin, Reservation, Spend, SpendBook,
    Used,
};

/// Counts in memory.
#[derive(Debug)]
pub struct LocalLimits {
    base: Instant,
    /// Administrators make accounts, and callers do not name them, so nobody can choose ones that collide.
    accounts: HashMap<Arc<str>, Mutex<Account>, FxBuildHasher>,
    /// The accounts that have spent money that is not recorded, each once.
    unrecorded: Mutex<Vec<Arc<str>>>,
}

impl LocalLimits {
    /// Nothing is spent yet. Time is counted from `base`; moments before it are taken for it.
    pub fn new(base: Instant) -> Self {
        Self { base, accounts: HashMap::default(), unrecorded: Mutex::default() }
    }

    /// What [`LimitStore::reserve`] does, at once.
    pub fn decide(
        &self,
        key: &Arc<str>,
        limits: &Arc<Limits>,
        demand: Demand,
        at: Moment,
    ) -> Result<Reservation, Denial> {
        let at = self.stamp(at);
        let (taken, levels) = self.change(key, |account| account.reserve(limits, demand, at))?;
        Ok(Reservation::new(Arc::clone(key), Arc::clone(limits), taken, levels, Origin::Local))
    }

    /// How much an account has left of these limits.
    pub fn levels(&self, key: &Arc<str>, limits: &Arc<Limits>, at: Moment) -> Levels {
        let at = self.stamp(at);
        self.change(key, |account| account.levels(limits, at))
    }

    /// Books money that a call has spent which was let through elsewhere: as spent, and not recorded yet.
    pub fn spend(&self, key: &Arc<str>, window: BudgetWindow, amount: NanoUsd) {
        if self.change(key, |account| account.spending.spend(window, amount)) {
            self.list(key);
        }
    }

    /// What an account has spent in a window, as far as is known here: what is recorded by all nodes and what is not recorded
    /// of this one's, without what calls under way may yet cost.
    pub fn spent(&self, account: &str, window: BudgetWindow) -> NanoUsd {
        self.look(account, |account| account.spending.spent(window)).unwrap_or_default()
    }

    /// Forgets accounts of which nothing is spent and nothing is under way. Takes a lock for each account, one after the
    /// other; once a minute is plenty.
    pub fn sweep(&self, at: Moment) {
        let at = self.stamp(at);
        let accounts = self.accounts.pin();
        for (key, entry) in &accounts {
            // An account that is in use is not idle.
            let Some(mut account) = entry.try_lock() else { continue };
            account.is_gone = account.is_idle(at);
            let is_gone = account.is_gone;
            drop(account);
            if is_gone {
                self.remove(key, entry);
            }
        }
    }

    /// Does something to an account, which is made if there is none.
    fn change<T>(&self, key: &Arc<str>, act: impl FnOnce(&mut Account) -> T) -> T {
        let accounts = self.accounts.pin();
        loop {
            let entry = match accounts.get(&**key) {
                Some(entry) => entry,
                None => accounts.get_or_insert_with(Arc::clone(key), Mutex::default),
            };
            let mut account = entry.lock();
            if !account.is_gone {
                return act(&mut account);
            }
            drop(account);
            self.remove(key, entry);
        }
    }

    /// Does something to an account if there is one.
    fn look<T>(&self, key: &str, act: impl FnOnce(&mut Account) -> T) -> Option<T> {
        self.accounts.pin().get(key).map(|entry| act(&mut entry.lock()))
    }

    /// Removes an account that is marked as gone, unless somebody else already has.
    fn remove(&self, key: &str, gone: &Mutex<Account>) {
        // An error says that another has taken its place.
        let _ = self.accounts.pin().remove_if(key, |_, entry| std::ptr::eq(entry, gone));
    }

    #[cfg(test)]
    fn in_flight(&self, account: &str) -> u32 {
        self.look(account, |account| account.in_flight).unwrap_or(0)
    }

    fn list(&self, account: &Arc<str>) {
        self.unrecorded.lock().push(Arc::clone(account));
    }

    fn stamp(&self, at: Moment) -> Stamp {
        let since = at.now.saturating_duration_since(self.base);
        let micros = since.as_secs().saturating_mul(1_000_000).saturating_add(since.subsec_micros().into());
        Stamp { micros, wall: at.wall }
    }
}

impl LimitStore for LocalLimits {
    fn reserve<'a>(
        &'a self,
        key: &'a Arc<str>,
        limits: &'a Arc<Limits>,
        demand: Demand,
        at: Moment,
    ) -> Answer<'a, Result<Reservation, Denial>> {
        Answer::now(self.decide(key, limits, demand, at))
    }

    fn check(&self, key: &Arc<str>, limits: &Arc<Limits>, at: Moment) -> Result<(), Denial> {
        let at = self.stamp(at);
        self.change(key, |account| account.check(limits, at))
    }

    fn settle(&self, reservation: Reservation, used: Used, at: Moment) {
        let at = self.stamp(at);
        let key = reservation.key();
        if self.change(key, |account| account.settle(&reservation, used, at)) {
            self.list(key);
        }
    }
}

impl SpendBook for LocalLimits {
    fn take_unrecorded(&self) -> Vec<Spend> {
        let listed = std::mem::take(&mut *self.unrecorded.lock());
        let mut taken = Vec::with_capacity(listed.len());
        for key in listed {
            self.look(&key, |account| account.spending.take_unrecorded(&key, &mut taken));
        }
        taken
    }

    fn put_back(&self, unrecorded: Vec<Spend>) {
        for spend in unrecorded {
            if self.change(&spend.account, |account| account.spending.put_back(spend.window, spend.amount)) {
                self.list(&spend.account);
            }
        }
    }

    fn note_totals(&self, totals: &[Spend]) {
        for total in totals {
            self.change(&total.account, |account| account.spending.note_total(total.window, total.amount));
        }
    }
}

#[cfg(test)]
mod tests;
