//! The last good state of a store, in a file, for a start without the store.
//!
//! It is written as a whole now and then, and in between whatever changes is appended (see [`log`]); the last line about a
//! key holds. A key that was revoked is on the disk as revoked before anybody is told that it is, so that no crash brings it
//! back. Of keys there are digests only.
//!
//! Beside the keys it holds what was spent of budgets, so that a start without the store does not give a budget back: what
//! the store has recorded of it, and what this node has spent since. The latter is recorded in the store by the next start
//! that reaches it. A crash after the store has recorded it and before that is noted here counts it twice: too much is a
//! budget that ends early, too little would be one that never ends. What is spent is appended once a second and not flushed,
//! so a process that is killed forgets one second of it, and a power cut as much as the system had not written yet.

mod line;
mod log;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_keystore::{Changes, KeyRecord, Version};
use gateway_ratelimit::{BudgetWindow, NanoUsd, Spend};
use gateway_secret::KeyDigester;
use jiff::Timestamp;
use parking_lot::Mutex;

use self::line::{Line, SpentLine, is_key, read_line};
use self::log::{Draft, Found, Log, clear_away_drafts, is_anothers};

/// The file. Reading and writing it takes as long as disks do, and is nothing for a thread that serves calls.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    digester: KeyDigester,
    state: Mutex<State>,
    /// Beside the lock, which is held as long as the disk takes.
    is_failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// None if the file has to be written as a whole before anything can be appended.
    log: Option<Log>,
    sums: BTreeMap<Window, Sums>,
    /// Whether there is more to say than the file says.
    is_stale: bool,
    /// What has changed since somebody began to write the whole anew; none if nobody does.
    meanwhile: Option<Vec<Batch>>,
    /// Whether another process was found to write the file. When that has ended, the file is taken over.
    is_guest: bool,
    /// What the process before had not recorded when its file was taken over.
    inherited: Vec<Spend>,
}

/// Lines that were appended together.
#[derive(Debug)]
struct Batch {
    /// Which version of the store they bring the keys to; none if they are not about keys.
    version: Option<Version>,
    lines: Vec<Line>,
}

/// Whose budget, and when.
type Window = (Arc<str>, BudgetWindow);

/// What was spent in a window, in billionths of a dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    recorded: u64,
    unrecorded: u64,
}

/// What is to be read of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Everything,
    /// What was spent. The keys are in the store, and to read a hundred thousand of them twice takes long.
    Spending,
}

/// What the file says.
#[derive(Debug)]
pub(crate) struct LastGood {
    /// The keys, if they were wanted.
    pub(crate) keys: Option<Changes>,
    /// What the store had recorded of budgets.
    pub(crate) recorded: Vec<Spend>,
    /// What it had not.
    pub(crate) unrecorded: Vec<Spend>,
}

impl Snapshot {
    pub(crate) fn new(path: PathBuf, digester: KeyDigester) -> Self {
        Self { path, digester, state: Mutex::default(), is_failing: AtomicBool::new(false) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file could not be written the last time.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// What was last written; none if nothing ever was. What is spent according to it is carried on.
    pub(crate) fn read(&self, wanted: Wanted) -> io::Result<Option<LastGood>> {
        // They take room, and nothing else: it is no reason not to read what is there.
        if let Err(error) = clear_away_drafts(&self.path) {
            tracing::debug!(%error, "what was half written before cannot be removed");
        }
        let mut replay = Replay::default();
        let found = Log::open(&self.path, &self.digester, |line| match wanted {
            Wanted::Spending => replay.take_spending(line),
            Wanted::Everything => replay.take(read_line(line)?),
        })?;
        let Some(found) = found else { return Ok(None) };
        let keys = replay.keys.into_values().collect();
        let keys = Changes { version: replay.version, is_everything: true, keys, ..Changes::default() };
        let keys = (wanted == Wanted::Everything).then_some(keys);
        let recorded = spends(&replay.sums, |sums| sums.recorded);
        let mut state = self.state.lock();
        let Found::Own(log) = found else {
            // The other process will record what it has spent, as long as it lives.
            state.is_guest = true;
            return Ok(Some(LastGood { keys, recorded, unrecorded: Vec::new() }));
        };
        let unrecorded = spends(&replay.sums, |sums| sums.unrecorded);
        *state = State { log: Some(*log), sums: replay.sums, ..State::default() };
        Ok(Some(LastGood { keys, recorded, unrecorded }))
    }

    /// What a process that has ended had not recorded: somebody has to do that in its stead.
    pub(crate) fn take_inherited(&self) -> Vec<Spend> {
        let mut state = self.state.lock();
        self.take_over(&mut state);
        std::mem::take(&mut state.inherited)
    }

    /// Goes on with the file of another process that has ended.
    fn take_over(&self, state: &mut State) {
        if !state.is_guest || is_anothers(&self.path) {
            return;
        }
        state.is_guest = false;
        let mut replay = Replay::default();
        let found = Log::open(&self.path, &self.digester, |line| replay.take_spending(line));
        // Whatever cannot be read or taken is written anew.
        if let Ok(Some(Found::Own(log))) = found {
            state.inherited = spends(&replay.sums, |sums| sums.unrecorded);
            (state.log, state.is_stale) = (Some(*log), true);
            for (window, sums) in replay.sums {
                state.sums.entry(window).or_insert(sums).unrecorded = sums.unrecorded;
            }
        }
    }

    /// Leaves the file to whoever comes next.
    pub(crate) fn release(&self) {
        self.state.lock().log = None;
    }

    /// The store is about to be read, or just was, to write the whole anew: what changes from now on will be in that, too.
    pub(crate) fn begin(&self) {
        let mut state = self.state.lock();
        (state.meanwhile, state.is_stale) = (Some(Vec::new()), true);
    }

    /// The store could not be read for that.
    pub(crate) fn give_up(&self) {
        self.state.lock().meanwhile = None;
    }

    /// Takes over what has changed in the store. When this returns, it is on the disk, or it has been said that it is not.
    pub(crate) fn follow(&self, changes: &Changes) {
        let mut state = self.state.lock();
        self.take_over(&mut state);
        if changes.is_everything {
            state.meanwhile = None;
            let lines = state.with_sums(lines_of(changes));
            let draft = Log::draft(&self.path, &self.digester, lines);
            if !self.publish(&mut state, draft, &[]) {
                // What there is may be of another store.
                state.log = None;
            }
        } else {
            let gone = changes.removed.iter().map(ToString::to_string);
            let gone = gone.chain(changes.unreadable.iter().map(|(id, _)| id.clone()));
            let keys = changes.keys.iter().map(|key| Line::Key(Box::new(key.into())));
            let lines = keys.chain(gone.map(Line::Removed)).chain([Line::Version(changes.version.0)]).collect();
            self.append(&mut state, Batch { version: Some(changes.version), lines });
        }
    }

    /// Whether what was noted last is in the file. Waits for who writes it.
    pub(crate) fn is_kept(&self) -> bool {
        self.state.lock().log.is_some()
    }

    /// Whether it would be good to write the whole anew.
    pub(crate) fn wants_rewriting(&self) -> bool {
        let state = self.state.lock();
        match &state.log {
            Some(log) => state.is_stale || log.is_long(),
            None => !is_anothers(&self.path),
        }
    }

    /// Writes the whole anew, as it was read after [`Self::begin`]. A large one takes long, so others may go on appending.
    pub(crate) fn rewrite(&self, keys: &Changes) {
        let lines = self.state.lock().with_sums(lines_of(keys));
        let draft = Log::draft(&self.path, &self.digester, lines);
        let mut state = self.state.lock();
        // Otherwise somebody had to write it for another store.
        let Some(meanwhile) = state.meanwhile.take() else { return };
        let is_news = |batch: &Batch| batch.version.is_none_or(|version| version > keys.version);
        let news: Vec<_> = meanwhile.into_iter().filter(is_news).flat_map(|batch| batch.lines).collect();
        self.publish(&mut state, draft, &news);
    }

    /// Notes what is recorded in the store of what was spent, where that is known, and everything that is not recorded, if
    /// that is.
    pub(crate) fn note_spending(&self, recorded: &[Spend], unrecorded: Option<&[Spend]>) {
        let mut state = self.state.lock();
        let mut changed = BTreeSet::new();
        for total in recorded {
            let window = (Arc::clone(&total.account), total.window);
            let sums = state.sums.entry(window.clone()).or_default();
            if std::mem::replace(&mut sums.recorded, total.amount.0) != total.amount.0 {
                changed.insert(window);
            }
        }
        if let Some(unrecorded) = unrecorded {
            let mut amounts = HashMap::<Window, u64>::new();
            for spend in unrecorded {
                let sum = amounts.entry((Arc::clone(&spend.account), spend.window)).or_default();
                *sum = sum.saturating_add(spend.amount.0);
            }
            for window in amounts.keys() {
                state.sums.entry(window.clone()).or_default();
            }
            for (window, sums) in &mut state.sums {
                let amount = amounts.get(window).copied().unwrap_or_default();
                if std::mem::replace(&mut sums.unrecorded, amount) != amount {
                    changed.insert(window.clone());
                }
            }
        }
        let lines: Vec<_> = changed.iter().map(|window| spent_line(window, state.sums[window])).collect();
        if !lines.is_empty() {
            self.append(&mut state, Batch { version: None, lines });
        }
    }

    /// What is about keys survives a power cut from then on.
    fn append(&self, state: &mut State, batch: Batch) {
        // Where there is nothing to append to, that has been said, and the whole is written as soon as it can be.
        if let Some(log) = &mut state.log {
            let done = log.append(&batch.lines, batch.version.is_some());
            if done.is_err() {
                state.log = None;
            }
            self.note(state, done);
        }
        if let Some(meanwhile) = &mut state.meanwhile {
            meanwhile.push(batch);
        }
    }

    /// Puts a new file into the place of the one before, which stays if that fails. Returns whether it was done.
    fn publish(&self, state: &mut State, draft: io::Result<Draft>, meanwhile: &[Line]) -> bool {
        let published = draft.and_then(|draft| draft.publish(state.log.as_ref(), meanwhile));
        let is_done = published.is_ok();
        state.is_stale = !is_done;
        let done = published.map(|log| state.log = Some(log));
        self.note(state, done);
        is_done
    }

    fn note(&self, state: &mut State, done: io::Result<()>) {
        // Another process writes it, which is as good.
        state.is_guest = matches!(&done, Err(error) if error.kind() == io::ErrorKind::ResourceBusy);
        let done = if state.is_guest { Ok(()) } else { done };
        let was_failing = self.is_failing.swap(done.is_err(), Ordering::Relaxed);
        match done {
            Ok(()) if was_failing => tracing::info!("the last good state is written again"),
            Err(error) if !was_failing => {
                let path = self.path.display();
                tracing::error!(%error, %path, "the last good state cannot be written; without it, a start while the \
                                                store is away would bring back what is revoked from now on");
            }
            _ => {}
        }
    }
}

impl State {
    /// Everything there is to say, given the lines about keys.
    fn with_sums(&mut self, mut lines: Vec<Line>) -> Vec<Line> {
        let now = Timestamp::now();
        let is_over = |window: &BudgetWindow| window.end().is_some_and(|end| end <= now);
        self.sums.retain(|(_, window), sums| sums.unrecorded > 0 || sums.recorded > 0 && !is_over(window));
        lines.extend(self.sums.iter().map(|(window, sums)| spent_line(window, *sums)));
        lines
    }
}

fn lines_of(keys: &Changes) -> Vec<Line> {
    let lines = keys.keys.iter().map(|key| Line::Key(Box::new(key.into())));
    lines.chain([Line::Version(keys.version.0)]).collect()
}

/// The lines of a file, one after the other.
#[derive(Default)]
struct Replay {
    version: Version,
    keys: BTreeMap<Arc<str>, KeyRecord>,
    sums: BTreeMap<Window, Sums>,
}

impl Replay {
    /// Leaves out the keys.
    fn take_spending(&mut self, line: &[u8]) -> Result<(), String> {
        if is_key(line) { Ok(()) } else { self.take(read_line(line)?) }
    }

    fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Head { .. } => {}
            Line::Key(line) => {
                let key = KeyRecord::try_from(*line)?;
                self.keys.insert(Arc::clone(&key.id), key);
            }
            Line::Removed(id) => drop(self.keys.remove(&*id)),
            Line::Spent(line) => {
                let sums = Sums { recorded: line.recorded, unrecorded: line.unrecorded };
                self.sums.insert(line.place()?, sums);
            }
            Line::Version(version) => self.version = Version(version),
        }
        Ok(())
    }
}

fn spent_line((account, window): &Window, sums: Sums) -> Line {
    Line::Spent(SpentLine::new(account, *window, sums.recorded, sums.unrecorded))
}

fn spends(sums: &BTreeMap<Window, Sums>, amount: impl Fn(&Sums) -> u64) -> Vec<Spend> {
    let spends = sums.iter().map(|((account, window), sums)| (Arc::clone(account), *window, amount(sums)));
    let spends = spends.filter(|(.., amount)| *amount > 0);
    spends.map(|(account, window, amount)| Spend { account, window, amount: NanoUsd(amount) }).collect()
}

#[cfg(test)]
mod tests;
