//! Who keeps count.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_extension::Answer;
use jiff::Timestamp;

use crate::{BudgetWindow, Demand, Levels, Limits, NanoUsd, Reservation, Used};

/// The time, by both clocks: rates go by the one that never jumps, budgets by the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the clock that never jumps.
    pub now: Instant,
    /// By the calendar.
    pub wall: Timestamp,
}

/// Counts what keys spend.
pub trait LimitStore: Send + Sync + fmt::Debug {
    /// Takes one request, one call at once and `demand` from all of the key's limits, or nothing from any.
    ///
    /// `key` names the account; keys that are to share limits share it. Limits of the same account may change between two
    /// calls; what is spent stays spent.
    fn reserve<'a>(
        &'a self,
        key: &'a Arc<str>,
        limits: &'a Arc<Limits>,
        demand: Demand,
        at: Moment,
    ) -> Answer<'a, Result<Reservation, Denial>>;

    /// Whether a call would be refused whatever it needs, as far as that is known without asking elsewhere: a look that takes
    /// nothing, for a call whose demand is not known yet. `Ok` promises nothing, and is the answer of a store that cannot tell.
    ///
    /// # Errors
    ///
    /// The denial of a call that needs neither tokens nor money. One that does may have to wait longer.
    fn check(&self, _key: &Arc<str>, _limits: &Arc<Limits>, _at: Moment) -> Result<(), Denial> {
        Ok(())
    }

    /// Ends a call: it no longer counts as one at once, and what it used stands where the estimate stood. Never waits.
    fn settle(&self, reservation: Reservation, used: Used, at: Moment);
}

/// Money spent in one window of a budget.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spend {
    /// Of which account: the `key` of [`LimitStore::reserve`].
    pub account: Arc<str>,
    /// When.
    pub window: BudgetWindow,
    /// How much.
    pub amount: NanoUsd,
}

/// Knows what was spent of budgets, and has it recorded where it outlives the process and where other nodes record theirs.
///
/// One recorder at a time takes what is not recorded yet, records it, and then either notes the new totals or puts back
/// what it could not record. What was taken counts as spent all the while. No other totals may be noted in between: they
/// could be with or without what is being recorded.
pub trait SpendBook: Send + Sync + fmt::Debug {
    /// What was spent and not recorded, of past windows too; at most one entry for each account and window. Whoever takes
    /// it has it recorded or puts it back.
    fn take_unrecorded(&self) -> Vec<Spend>;

    /// Takes back what could not be recorded.
    fn put_back(&self, unrecorded: Vec<Spend>);

    /// Sets what is recorded, by all nodes together, this one's included up to what it took last. Totals of accounts that
    /// have not been used yet are kept for when they are.
    fn note_totals(&self, totals: &[Spend]);
}

/// A call may not be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Why. Of several limits that are in the way, the one that has to be waited for the longest; of equals, the first in
    /// the order of [`Limits`]. A limit of 0 comes before all others.
    pub cause: DenialCause,
    /// A call of the same demand that comes after exactly this wait, with nothing else spent meanwhile, is let through.
    /// None if no wait helps.
    pub retry_after: Option<Duration>,
    /// How much is left.
    pub levels: Levels,
}

/// Which limit is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenialCause {
    /// Requests per time.
    Requests {
        /// How many.
        limit: u64,
        /// In how long.
        period: Duration,
    },
    /// Tokens per minute.
    Tokens {
        /// What the call is expected to need.
        needed: u64,
        /// What may come at once.
        limit: u64,
    },
    /// Calls at once.
    Concurrency {
        /// How many.
        limit: u32,
    },
    /// The budget.
    Budget,
    /// The limit is 0: the key may make no such call at all.
    Blocked,
    /// Nobody can say, and then the administrator wants no call to be made.
    Unavailable,
}

impl DenialCause {
    /// The limit's short constant name, for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests { .. } => "requests",
            Self::Tokens { .. } => "tokens",
            Self::Concurrency { .. } => "concurrency",
            Self::Budget => "budget",
            Self::Blocked => "blocked",
            Self::Unavailable => "unavailable",
        }
    }
}
