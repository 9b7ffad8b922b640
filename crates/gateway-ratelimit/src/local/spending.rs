//! The money of one account, by window.
//!
//! What the account has spent in a window is what all nodes have recorded, as last noted, what this one has spent since,
//! and what calls under way may yet spend. A call belongs to the window that it began in, so past windows are kept until
//! all that was spent in them is recorded.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{Budget, BudgetWindow, NanoUsd, Spend};

/// How many windows an account has at most. More than a few there are only where nothing has been recorded for long, and
/// what was spent before the last month of that is then forgotten.
const MOST_WINDOWS: usize = 32;

/// What one account spends.
#[derive(Debug, Default)]
pub(super) struct Spending {
    windows: Vec<Tally>,
    /// The window of the last call that had a budget.
    open: Option<OpenWindow>,
    /// Whether somebody will come and ask for what is not recorded.
    is_listed: bool,
}

/// The window that the present lies in, so that the calendar is asked once in each.
#[derive(Debug, Clone, Copy)]
struct OpenWindow {
    window: BudgetWindow,
    end: Option<Timestamp>,
}

/// What was spent in one window, in billionths of a dollar.
#[derive(Debug)]
struct Tally {
    window: BudgetWindow,
    /// Recorded, by all nodes.
    noted: u64,
    /// Taken to be recorded; neither noted nor put back yet.
    recording: u64,
    /// Spent, and not taken yet.
    unrecorded: u64,
    /// What calls under way are expected to cost.
    reserved: u64,
}

impl Spending {
    /// The window of a budget that a moment lies in.
    pub(super) fn window(&mut self, budget: &Budget, wall: Timestamp) -> BudgetWindow {
        let is_open = |open: &OpenWindow| {
            let window = open.window;
            window.period == budget.period && window.start <= wall && open.end.is_none_or(|end| wall < end)
        };
        if let Some(open) = self.open.filter(is_open) {
            return open.window;
        }
        self.forget_past(wall);
        let window = budget.period.window(wall);
        self.open = Some(OpenWindow { window, end: window.end() });
        window
    }

    /// What was spent in a window, with what is kept back.
    pub(super) fn committed(&self, window: BudgetWindow) -> NanoUsd {
        NanoUsd(self.tally(window).map_or(0, Tally::committed))
    }

    /// Keeps money back for a call.
    pub(super) fn reserve(&mut self, window: BudgetWindow, cost: NanoUsd) {
        let tally = self.tally_mut(window);
        tally.reserved = tally.reserved.saturating_add(cost.0);
    }

    /// Puts what a call cost in the place of what was kept back for it. True: the account has to be listed among those with
    /// something to record, and counts as listed from now on.
    pub(super) fn settle(&mut self, window: BudgetWindow, taken: NanoUsd, used: NanoUsd) -> bool {
        let tally = self.tally_mut(window);
        tally.reserved = tally.reserved.saturating_sub(taken.0);
        self.spend(window, used)
    }

    /// Spends money for which none was kept back here. True: as with [`Self::settle`].
    pub(super) fn spend(&mut self, window: BudgetWindow, amount: NanoUsd) -> bool {
        let tally = self.tally_mut(window);
        tally.unrecorded = tally.unrecorded.saturating_add(amount.0);
        self.must_be_listed(amount)
    }

    /// Takes what is not recorded, and strikes the account off the list.
    pub(super) fn take_unrecorded(&mut self, account: &Arc<str>, into: &mut Vec<Spend>) {
        self.is_listed = false;
        for tally in self.windows.iter_mut().filter(|tally| tally.unrecorded > 0) {
            let amount = std::mem::take(&mut tally.unrecorded);
            tally.recording = tally.recording.saturating_add(amount);
            into.push(Spend { account: Arc::clone(account), window: tally.window, amount: NanoUsd(amount) });
        }
    }

    /// Takes back what could not be recorded. True: as with [`Self::settle`].
    pub(super) fn put_back(&mut self, window: BudgetWindow, amount: NanoUsd) -> bool {
        let tally = self.tally_mut(window);
        tally.recording = tally.recording.saturating_sub(amount.0);
        self.spend(window, amount)
    }

    /// Notes what is recorded, with what was taken for that.
    pub(super) fn note_total(&mut self, window: BudgetWindow, total: NanoUsd) {
        let tally = self.tally_mut(window);
        tally.noted = total.0;
        tally.recording = 0;
    }

    /// What was spent in a window, without what is kept back.
    pub(super) fn spent(&self, window: BudgetWindow) -> NanoUsd {
        NanoUsd(self.tally(window).map_or(0, Tally::spent))
    }

    /// Forgets windows that are over and recorded. True: nothing is left.
    pub(super) fn forget_past(&mut self, wall: Timestamp) -> bool {
        self.windows.retain(|tally| tally.is_owed() || (tally.noted > 0 && !tally.is_over(wall)));
        while self.windows.len() > MOST_WINDOWS {
            let ends = self.windows.iter().map(|tally| tally.window.end().unwrap_or(Timestamp::MAX));
            if let Some((first, _)) = ends.enumerate().min_by_key(|(_, end)| *end) {
                self.windows.remove(first);
            }
        }
        self.windows.is_empty()
    }

    fn tally(&self, window: BudgetWindow) -> Option<&Tally> {
        self.windows.iter().find(|tally| tally.window == window)
    }

    fn tally_mut(&mut self, window: BudgetWindow) -> &mut Tally {
        let at = self.windows.iter().position(|tally| tally.window == window).unwrap_or_else(|| {
            self.windows.push(Tally { window, noted: 0, recording: 0, unrecorded: 0, reserved: 0 });
            self.windows.len() - 1
        });
        &mut self.windows[at]
    }

    fn must_be_listed(&mut self, amount: NanoUsd) -> bool {
        amount.0 > 0 && !std::mem::replace(&mut self.is_listed, true)
    }
}

impl Tally {
    fn spent(&self) -> u64 {
        self.noted.saturating_add(self.recording).saturating_add(self.unrecorded)
    }

    fn committed(&self) -> u64 {
        self.spent().saturating_add(self.reserved)
    }

    /// Whether something has yet to come in or to be recorded.
    fn is_owed(&self) -> bool {
        self.recording > 0 || self.unrecorded > 0 || self.reserved > 0
    }

    fn is_over(&self, wall: Timestamp) -> bool {
        self.window.end().is_some_and(|end| end <= wall)
    }
}
