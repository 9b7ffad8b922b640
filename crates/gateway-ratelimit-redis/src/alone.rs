//! Decisions of this node by itself, while Redis does not answer.
//!
//! They are made on the node's own [`LocalLimits`] with its share of every limit, beginning with full buckets: what Redis has
//! let through is not mirrored in them, as that would cost every call a second decision. Mirrored are only calls at once,
//! which the ledger knows anyway, and money, of which Redis's last word is kept. The crate's documentation says what that
//! adds up to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gateway_ratelimit::{Budget, BudgetWindow, Denial, DenialCause, Levels, LocalLimits, Moment, NanoUsd, Reservation};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::request::Request;

/// This node's own limits.
#[derive(Debug)]
pub(crate) struct Alone {
    pub(crate) local: LocalLimits,
    nodes: AtomicU32,
    purses: Mutex<HashMap<Arc<str>, Purse>>,
}

/// What is known of an account's money.
#[derive(Debug, Clone, Copy)]
struct Purse {
    window: BudgetWindow,
    /// Spent or kept back by all nodes, as Redis said last.
    committed: u64,
    /// What this node had counted itself when it began to decide by itself; none while Redis answers.
    counted_before: Option<u64>,
}

impl Alone {
    pub(crate) fn new(local: LocalLimits) -> Self {
        Self { local, nodes: AtomicU32::new(1), purses: Mutex::default() }
    }

    /// Notes how many nodes there are.
    pub(crate) fn note_nodes(&self, nodes: u32) {
        self.nodes.store(nodes.max(1), Ordering::Relaxed);
    }

    /// How many nodes there are, as far as is known.
    pub(crate) fn nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed)
    }

    /// Notes what Redis says to be spent and kept back of a budget.
    pub(crate) fn note_committed(&self, key: &Arc<str>, window: BudgetWindow, committed: u64) {
        self.purses.lock().insert(Arc::clone(key), Purse::new(window, committed));
    }

    /// Forgets budgets whose window is over.
    pub(crate) fn sweep(&self, at: Moment) {
        self.local.sweep(at);
        self.purses.lock().retain(|_, purse| purse.window.end().is_none_or(|end| at.wall < end));
    }

    /// Decides. `in_flight` calls of the account are this node's and not counted in its own limits.
    pub(crate) fn reserve(&self, request: &Request<'_>, in_flight: u32) -> Result<Reservation, Denial> {
        let Request { key, limits, demand, at } = *request;
        let mut share = limits.share(self.nodes());
        let mut is_full = false;
        share.budget = limits.budget.map(|budget| self.budget(key, budget, at.wall));
        if let Some(limit) = &mut share.max_concurrent
            && *limit > 0
        {
            // None left is not the same as none ever.
            is_full = *limit <= in_flight;
            *limit = limit.saturating_sub(in_flight).max(1);
        }
        let share = Arc::new(share);
        if is_full {
            let cause = DenialCause::Concurrency { limit: limits.max_concurrent.unwrap_or(0) };
            return Err(Denial { cause, retry_after: None, levels: self.local.levels(key, &share, at) });
        }
        self.local.decide(key, &share, demand, at)
    }

    /// What this node's own limits may count up to: what they have counted already, and the node's share of the rest.
    fn budget(&self, key: &Arc<str>, budget: Budget, wall: Timestamp) -> Budget {
        let window = budget.period.window(wall);
        let own = self.local.spent(key, window).0;
        let mut purses = self.purses.lock();
        let purse = purses.entry(Arc::clone(key)).or_insert(Purse::new(window, 0));
        if purse.window != window {
            *purse = Purse::new(window, 0);
        }
        let counted = *purse.counted_before.get_or_insert(own);
        let spent = purse.committed.max(counted).min(budget.limit.0);
        let allowance = budget.share(self.nodes(), NanoUsd(spent)).limit.0 - spent;
        Budget { limit: NanoUsd(counted.saturating_add(allowance)), ..budget }
    }
}

impl Purse {
    fn new(window: BudgetWindow, committed: u64) -> Self {
        Self { window, committed, counted_before: None }
    }
}

/// Nobody can say whether a call may be made.
pub(crate) fn unavailable() -> Denial {
    Denial { cause: DenialCause::Unavailable, retry_after: None, levels: Levels::default() }
}
