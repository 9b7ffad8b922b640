//! One account of the ledger.

use gateway_ratelimit::{BudgetWindow, Quota};
use jiff::Timestamp;

use super::Resolution;

/// Counters wrap here, which the script knows: a double is exact beyond it.
const WRAP: u64 = 1 << 52;

/// No amount of one call is counted as more, so that counters cannot wrap unseen: as many tokens, or two million dollars.
const MOST: u64 = 1 << 51;

/// An amount as it is counted.
pub(crate) fn countable(amount: u64) -> u64 {
    amount.min(MOST)
}

/// What has come together since the entry was made, or since its window began; all but the last wrap at 2^52.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Calls that have ended.
    pub(crate) ended: u64,
    /// Tokens that calls took and did not need.
    pub(crate) given_back: u64,
    /// Tokens that calls needed and had not taken.
    pub(crate) owed: u64,
    /// Money that calls had taken, before they ended.
    pub(crate) released: u64,
    /// Money that calls have used; the entry is kept until its window ends, so it is all that this node has spent in it.
    pub(crate) spent: u64,
}

/// What a node says of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Later reports have a higher one.
    pub(crate) sequence: u64,
    /// Another entry, other counters.
    pub(crate) generation: u64,
    pub(crate) in_flight: u32,
    /// Questions that Redis has not answered.
    pub(crate) awaited: u32,
    /// The token quota that the last call to end was let through with.
    pub(crate) tokens: Option<Quota>,
    pub(crate) totals: Totals,
    /// What Redis has confirmed of them.
    pub(crate) confirmed: Totals,
    /// When the last call ended, by Redis's clock. What calls before it owed counts from then on as well, as if no time had
    /// passed between them: too much, rather than too little, if nothing could be told for a while.
    pub(crate) settled_at: Option<u64>,
    /// None if the account has no budget.
    pub(crate) money: Option<Money>,
}

/// What a node says of an account's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Money {
    pub(crate) window: BudgetWindow,
    /// Taken by calls in flight.
    pub(crate) reserved: u64,
    /// To be taken by calls that Redis has not decided.
    pub(crate) awaited: u64,
    /// When the count began in Redis that has confirmed what was spent; 0 if none has.
    pub(crate) epoch: u64,
}

/// How a call has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) was_admitted_by_redis: bool,
    pub(crate) window: Option<BudgetWindow>,
    /// The money that it had taken.
    pub(crate) cost: u64,
    pub(crate) spent: u64,
    /// Its tokens, if they are counted in Redis.
    pub(crate) tokens: Option<EndedTokens>,
    /// Redis's clock, as far as is known.
    pub(crate) at: Option<u64>,
}

/// The tokens of a call that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndedTokens {
    pub(crate) quota: Quota,
    pub(crate) taken: u64,
    pub(crate) used: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    generation: u64,
    in_flight: u32,
    pub(super) admitted_by_redis: u32,
    awaited: u32,
    tokens: Option<Quota>,
    settled_at: Option<u64>,
    money: Option<Money>,
    totals: Totals,
    confirmed: Totals,
    confirmed_sequence: u64,
    /// It is listed to be sent.
    pub(super) is_unsent: bool,
    pub(super) is_being_sent: bool,
    /// It is to be sent even if no counter has changed.
    pub(super) must_report: bool,
}

impl Entry {
    pub(super) fn new(generation: u64) -> Self {
        Self {
            generation,
            in_flight: 0,
            admitted_by_redis: 0,
            awaited: 0,
            tokens: None,
            settled_at: None,
            money: None,
            totals: Totals::default(),
            confirmed: Totals::default(),
            confirmed_sequence: 0,
            is_unsent: false,
            is_being_sent: false,
            must_report: false,
        }
    }

    /// Goes on with the window of a call. Money is counted in the window that it was taken in; once a new one begins, nothing
    /// of the old one matters any more.
    pub(super) fn turn_to(&mut self, window: Option<BudgetWindow>) {
        let Some(window) = window else { return };
        let is_earlier = |of: BudgetWindow| of.period == window.period && window.start <= of.start;
        if self.money.is_some_and(|money| is_earlier(money.window)) {
            return;
        }
        self.money = Some(Money { window, reserved: 0, awaited: 0, epoch: 0 });
        for totals in [&mut self.totals, &mut self.confirmed] {
            (totals.released, totals.spent) = (0, 0);
        }
    }

    pub(super) fn report(&self, sequence: u64) -> Report {
        Report {
            sequence,
            generation: self.generation,
            in_flight: self.in_flight,
            awaited: self.awaited,
            tokens: self.tokens,
            totals: self.totals,
            confirmed: self.confirmed,
            settled_at: self.settled_at,
            money: self.money,
        }
    }

    pub(super) fn ask(&mut self, cost: u64, window: Option<BudgetWindow>) {
        self.awaited += 1;
        if let Some(money) = self.money_of(window) {
            money.awaited = money.awaited.saturating_add(cost);
        }
    }

    /// Hears the answer to a question.
    pub(super) fn hear(&mut self, cost: u64, window: Option<BudgetWindow>, resolution: Resolution) {
        self.awaited = self.awaited.saturating_sub(1);
        if let Some(money) = self.money_of(window) {
            money.awaited = money.awaited.saturating_sub(cost);
        }
        match resolution {
            Resolution::Unknown => self.must_report = true,
            Resolution::Denied => {}
            Resolution::Admitted => {
                self.admit(cost, window);
                self.admitted_by_redis += 1;
            }
        }
    }

    pub(super) fn admit(&mut self, cost: u64, window: Option<BudgetWindow>) {
        self.in_flight += 1;
        if let Some(money) = self.money_of(window) {
            money.reserved = money.reserved.saturating_add(cost);
        }
    }

    pub(super) fn end(&mut self, ending: Ending) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.admitted_by_redis = self.admitted_by_redis.saturating_sub(ending.was_admitted_by_redis.into());
        let add = |total: &mut u64, amount: u64| *total = (*total + countable(amount)) % WRAP;
        add(&mut self.totals.ended, 1);
        if let Some(EndedTokens { quota, taken, used }) = ending.tokens {
            self.tokens = Some(quota);
            add(&mut self.totals.given_back, taken.saturating_sub(used));
            add(&mut self.totals.owed, used.saturating_sub(taken));
        }
        self.settled_at = ending.at.or(self.settled_at);
        if let Some(money) = self.money_of(ending.window) {
            money.reserved = money.reserved.saturating_sub(ending.cost);
            add(&mut self.totals.released, ending.cost);
            self.totals.spent = self.totals.spent.saturating_add(countable(ending.spent));
        }
    }

    /// Notes that Redis, whose count of the money began at `epoch`, has heard a report.
    pub(super) fn confirm(&mut self, report: &Report, epoch: u64) {
        if report.generation != self.generation || report.sequence < self.confirmed_sequence {
            return;
        }
        self.confirmed_sequence = report.sequence;
        let (released, spent) = (self.confirmed.released, self.confirmed.spent);
        self.confirmed = report.totals;
        if let Some(money) = self.money_of(report.money.map(|money| money.window)) {
            money.epoch = epoch;
        } else {
            (self.confirmed.released, self.confirmed.spent) = (released, spent);
        }
    }

    /// Forgets the money of a window that is over, once no call holds any of it.
    pub(super) fn forget_past(&mut self, wall: Timestamp) {
        let is_over = |money: &Money| money.window.end().is_some_and(|end| end <= wall);
        let is_free = |money: &Money| money.reserved == 0 && money.awaited == 0;
        if self.money.as_ref().is_some_and(|money| is_over(money) && is_free(money)) {
            self.money = None;
            for totals in [&mut self.totals, &mut self.confirmed] {
                (totals.released, totals.spent) = (0, 0);
            }
        }
    }

    pub(super) fn has_spent(&self) -> bool {
        self.totals.spent > 0
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether Redis knows all that has come together.
    pub(super) fn is_settled(&self) -> bool {
        self.totals == self.confirmed
    }

    /// Whether there is nothing more to say.
    pub(super) fn is_done(&self) -> bool {
        let is_quiet = !self.is_unsent && !self.is_being_sent && !self.must_report;
        is_quiet && self.in_flight == 0 && self.awaited == 0 && self.is_settled() && !self.has_spent()
    }

    fn money_of(&mut self, window: Option<BudgetWindow>) -> Option<&mut Money> {
        self.money.as_mut().filter(|money| Some(money.window) == window)
    }
}
