//! What this node knows of the calls it has let through, account by account, and what of it Redis has been told.
//!
//! Everything a node tells Redis is said in a way that may be lost, repeated or overtaken: counters that only grow, and the
//! number of calls in flight as a whole. So there is nothing to queue: an account has one entry, however many calls end
//! while Redis is away, and the next message says it all. An entry exists while a call is in flight, or Redis has not
//! confirmed the last message, or money was spent in a window that is not over: a Redis that comes back empty is told of all
//! of that again.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_ratelimit::BudgetWindow;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

mod entry;

use entry::Entry;
pub(crate) use entry::{EndedTokens, Ending, Money, Report, countable};

/// Accounts are spread over so many locks, so that looking through all of them holds up few.
const SHARDS: usize = 16;

/// The accounts that this node has something to say of.
#[derive(Debug)]
pub(crate) struct Ledger {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    sequence: AtomicU64,
    /// Told when there is something new to send.
    pub(crate) news: Notify,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Arc<str>, Entry>,
    /// The accounts to be sent, each once.
    unsent: Vec<Arc<str>>,
}

/// How Redis has answered a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    Admitted,
    Denied,
    /// It has not, as far as is known: the call may count there all the same.
    Unknown,
}

/// A question on its way to Redis. Whoever drops it unresolved does not know what Redis has decided.
#[derive(Debug)]
pub(crate) struct Awaited<'a> {
    ledger: &'a Ledger,
    key: Arc<str>,
    cost: u64,
    window: Option<BudgetWindow>,
    report: Report,
    resolution: Resolution,
    epoch: u64,
}

/// Reports on their way to Redis. Whoever drops them unconfirmed does not know whether they have arrived, and they are due
/// again.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    ledger: &'a Ledger,
    reports: Vec<(Arc<str>, Report)>,
    /// When Redis's counts of their money began, once it has heard them.
    confirmed: Option<Vec<u64>>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            sequence: AtomicU64::new(0),
            news: Notify::new(),
        }
    }

    /// Notes that Redis is being asked for a call, and what is to be said with the question.
    pub(crate) fn ask(&self, key: &Arc<str>, cost: u64, window: Option<BudgetWindow>) -> Awaited<'_> {
        let mut shard = self.shard(key).lock();
        let sequence = self.next();
        let entry = shard.entries.entry(Arc::clone(key)).or_insert_with(|| Entry::new(sequence));
        entry.turn_to(window);
        let report = entry.report(sequence);
        // That of the entry is another if this call's is already over.
        let window = report.money.map(|money| money.window).filter(|_| window.is_some());
        entry.ask(cost, window);
        Awaited { ledger: self, key: Arc::clone(key), cost, window, report, resolution: Resolution::Unknown, epoch: 0 }
    }

    /// Notes a call that this node has let through by itself.
    pub(crate) fn admit_alone(&self, key: &Arc<str>, cost: u64, window: Option<BudgetWindow>) {
        let mut shard = self.shard(key).lock();
        let entry = shard.entries.entry(Arc::clone(key)).or_insert_with(|| Entry::new(self.next()));
        entry.turn_to(window);
        entry.admit(cost, window);
    }

    /// Notes the end of a call.
    pub(crate) fn end(&self, key: &Arc<str>, ending: Ending) {
        let mut shard = self.shard(key).lock();
        let Some(entry) = shard.entries.get_mut(key) else { return };
        entry.end(ending);
        shard.send_soon(key);
        drop(shard);
        self.news.notify_one();
    }

    /// How many calls of an account are in flight that Redis has let through.
    pub(crate) fn admitted_by_redis(&self, key: &str) -> u32 {
        self.shard(key).lock().entries.get(key).map_or(0, |entry| entry.admitted_by_redis)
    }

    /// Up to `most` reports that are due.
    pub(crate) fn due(&self, most: usize) -> Batch<'_> {
        let mut reports = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
            while reports.len() < most
                && let Some(key) = shard.unsent.pop()
            {
                reports.extend(shard.due_report(&key, || self.next()).map(|report| (key, report)));
            }
        }
        Batch { ledger: self, reports, confirmed: None }
    }

    /// Makes a report due of every account with calls in flight.
    pub(crate) fn repeat_in_use(&self) {
        self.repeat(Entry::is_in_use);
    }

    /// Makes a report due of everything that this node knows, for a Redis that may have forgotten it.
    pub(crate) fn repeat_all(&self) {
        self.repeat(|_| true);
    }

    /// Forgets what was spent in windows that are over.
    pub(crate) fn sweep(&self, wall: Timestamp) {
        for shard in &self.shards {
            shard.lock().entries.retain(|_, entry| {
                entry.forget_past(wall);
                !entry.is_done()
            });
        }
    }

    fn repeat(&self, which: impl Fn(&Entry) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let Shard { entries, unsent } = &mut *shard;
            for (key, entry) in entries.iter_mut().filter(|(_, entry)| which(entry)) {
                entry.must_report = true;
                if !std::mem::replace(&mut entry.is_unsent, true) {
                    unsent.push(Arc::clone(key));
                }
            }
        }
        self.news.notify_one();
    }

    fn shard(&self, key: &str) -> &Mutex<Shard> {
        // The remainder of a division by 16 fits.
        #[expect(clippy::cast_possible_truncation, reason = "below 16")]
        let index = (self.hasher.hash_one(key) % SHARDS as u64) as usize;
        &self.shards[index]
    }

    fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Shard {
    /// Changes an entry and removes it if nothing more can be said of it.
    fn change(&mut self, key: &Arc<str>, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        change(entry);
        if entry.is_done() {
            self.entries.remove(key);
        }
    }

    fn send_soon(&mut self, key: &Arc<str>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if !std::mem::replace(&mut entry.is_unsent, true) {
            self.unsent.push(Arc::clone(key));
        }
    }

    /// The report of an account that was to be sent, unless a question has said it all meanwhile.
    fn due_report(&mut self, key: &Arc<str>, sequence: impl FnOnce() -> u64) -> Option<Report> {
        let mut report = None;
        self.change(key, |entry| {
            entry.is_unsent = false;
            if entry.must_report || !entry.is_settled() {
                entry.must_report = false;
                entry.is_being_sent = true;
                report = Some(entry.report(sequence()));
            }
        });
        report
    }
}

impl Awaited<'_> {
    /// What is to be said with the question.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// The window that the call's money is taken in.
    pub(crate) fn window(&self) -> Option<BudgetWindow> {
        self.window
    }

    /// What Redis has decided, whose count of the account's money began at `epoch`.
    pub(crate) fn resolve(mut self, resolution: Resolution, epoch: u64) {
        (self.resolution, self.epoch) = (resolution, epoch);
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut shard = self.ledger.shard(&self.key).lock();
        let resolution = self.resolution;
        shard.change(&self.key, |entry| {
            entry.hear(self.cost, self.window, resolution);
            if resolution != Resolution::Unknown {
                entry.confirm(&self.report, self.epoch);
            }
        });
        if resolution == Resolution::Unknown {
            shard.send_soon(&self.key);
            drop(shard);
            self.ledger.news.notify_one();
        }
    }
}

impl Batch<'_> {
    pub(crate) fn reports(&self) -> &[(Arc<str>, Report)] {
        &self.reports
    }

    /// Redis has heard them; its counts of their money began at these epochs, one for each.
    pub(crate) fn confirm(mut self, epochs: Vec<u64>) {
        self.confirmed = Some(epochs);
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let confirmed = self.confirmed.take();
        for (at, (key, report)) in self.reports.iter().enumerate() {
            let epoch = confirmed.as_ref().and_then(|epochs| epochs.get(at));
            let mut shard = self.ledger.shard(key).lock();
            shard.change(key, |entry| {
                entry.is_being_sent = false;
                match epoch {
                    Some(epoch) => entry.confirm(report, *epoch),
                    None => entry.must_report = true,
                }
            });
            if epoch.is_none() {
                shard.send_soon(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
