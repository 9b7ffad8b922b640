//! One account: what is spent of each of its limits, decided and changed together.

use jiff::Timestamp;

use super::rates::Rates;
use super::spending::Spending;
use crate::{BudgetWindow, Demand, Denial, Levels, Limits, NanoUsd, Reservation, Standing, Taken, Used};

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
    requests: Rates,
    tokens: Rates,
    /// The latest moment that it was asked at. Whoever is behind it was overtaken on the way, and is counted as if it came
    /// now: by its own time the bucket would not be as full yet as it is.
    clock: u64,
    pub(super) in_flight: u32,
    pub(super) spending: Spending,
    /// Whether it is no longer in the map, or is just leaving it.
    pub(super) is_gone: bool,
}

impl Account {
    /// Takes from every limit or from none, and says what is left. What it refuses changes nothing.
    pub(super) fn reserve(&mut self, limits: &Limits, demand: Demand, at: Stamp) -> Result<(Taken, Levels), Denial> {
        let now = self.pass_to(at);
        let window = limits.budget.map(|budget| self.spending.window(&budget, at.wall));
        let mut standing = self.standing(limits, demand, window);
        standing.check(at.wall)?;
        standing.requests = self.requests.take(limits.requests.slots(), 1, now);
        [standing.tokens] = self.tokens.take(&[limits.tokens], demand.tokens, now);
        if let Some(window) = window {
            self.spending.reserve(window, demand.cost);
        }
        self.in_flight = self.in_flight.saturating_add(1);
        Ok((Taken { demand, window }, standing.levels()))
    }

    /// Whether a call would be let through that needs neither tokens nor money; takes nothing.
    pub(super) fn check(&mut self, limits: &Limits, at: Stamp) -> Result<(), Denial> {
        self.pass_to(at);
        let window = limits.budget.map(|budget| self.spending.window(&budget, at.wall));
        self.standing(limits, Demand::default(), window).check(at.wall)
    }

    /// What is left of these limits.
    pub(super) fn levels(&mut self, limits: &Limits, at: Stamp) -> Levels {
        self.pass_to(at);
        self.standing(limits, Demand::default(), None).levels()
    }

    /// Puts what a call used in the place of what it took. True: the account has to be listed among those with something
    /// to record.
    pub(super) fn settle(&mut self, reservation: &Reservation, used: Used, at: Stamp) -> bool {
        let Taken { demand, window } = reservation.taken();
        let now = self.pass_to(at);
        self.in_flight = self.in_flight.saturating_sub(1);
        // A limit of tokens that was added meanwhile is not asked for a call that it was not asked for before.
        if let Some(quota) = &reservation.limits().tokens {
            self.tokens.settle(quota, demand.tokens, used.tokens, now);
        }
        window.is_some_and(|window| self.spending.settle(window, demand.cost, used.cost))
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&mut self, at: Stamp) -> bool {
        let is_unused = self.in_flight == 0 && self.tokens.are_full(at.micros) && self.requests.are_full(at.micros);
        is_unused && self.spending.forget_past(at.wall)
    }

    /// At how many rates requests are counted.
    #[cfg(test)]
    pub(super) fn rates(&self) -> usize {
        self.requests.len()
    }

    fn standing<'a>(&self, limits: &'a Limits, demand: Demand, window: Option<BudgetWindow>) -> Standing<'a> {
        let [tokens] = self.tokens.buckets(&[limits.tokens], self.clock);
        Standing {
            limits,
            demand,
            requests: self.requests.buckets(limits.requests.slots(), self.clock),
            tokens,
            now: self.clock,
            in_flight: self.in_flight.into(),
            committed: window.map_or(NanoUsd(0), |window| self.spending.committed(window)),
        }
    }

    fn pass_to(&mut self, at: Stamp) -> u64 {
        self.clock = self.clock.max(at.micros);
        self.clock
    }
}
