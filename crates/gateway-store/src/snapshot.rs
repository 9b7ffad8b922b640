//! The last good state of a store, in a file, for a start without the store.
//!
//! It is written as a whole now and then, and in between whatever changes is appended (see [`log`]); the last line about a
//! key holds. A key that was revoked is on the disk as revoked before anybody is told that it is, so that no crash brings it
//! back. Of keys there are digests only.
//!
//! It says of which store it is, and of which state of that (see [`Position`]). One that is of another store is not used, and
//! kept under another name when this store's is written; while the store is away it is not known which one it is, and the
//! place that it is to be found at says so instead. One that is of the very state that the store is in is not written anew.
//!
//! Providers and models are in it too, their secrets sealed as in the store.
//!
//! Beside the keys it holds what was spent of budgets, so that a start without the store does not give a budget back: what
//! the store has recorded of it, and what this node has spent since. The latter is recorded in the store by the next start
//! that reaches it. A crash after the store has recorded it and before that is noted here counts it twice: too much is a
//! budget that ends early, too little would be one that never ends. What is spent is appended once a second and not flushed,
//! so a process that is killed forgets one second of it, and a power cut as much as the system had not written yet.

mod line;
mod log;
mod replay;
mod settings;
mod spending;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_keystore::{Changes, Position, Version};
use gateway_ratelimit::{BudgetWindow, Spend};
use gateway_secret::KeyDigester;
use jiff::Timestamp;
use parking_lot::Mutex;

use self::line::{Head, Line, read_line};
use self::log::{Draft, Found, Log, Origin, clear_away_drafts, head_of, is_anothers};
use self::replay::Replay;
use self::settings::SettingsLines;
use self::spending::{Sums, Window, spends, spent_line};
use crate::vault::Sealing;

/// The file. Reading and writing it takes as long as disks do, and is nothing for a thread that serves calls.
#[derive(Debug)]
pub(crate) struct Snapshot {
    path: PathBuf,
    digester: KeyDigester,
    /// Where the store is.
    place: String,
    sealing: Sealing,
    state: Mutex<State>,
    /// Beside the lock, which is held as long as the disk takes.
    is_failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// None if the file has to be written as a whole before anything can be appended.
    log: Option<Log>,
    /// The identifier of the store that is followed; none before it was first read.
    store: Option<Arc<str>>,
    /// The state of the store that the file was found to be of, if it is as it would be written now.
    found: Option<Position>,
    settings: SettingsLines,
    sums: BTreeMap<Window, Sums>,
    /// Whether there is more to say than the file says.
    is_stale: bool,
    /// What has changed since somebody began to write the whole anew; none if nobody does.
    meanwhile: Option<Vec<Batch>>,
    /// Whether the file was found to be another's: another process writes it, or it is that of another store as far as one
    /// can tell. When that is over, the file is taken over.
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
    /// Keys and settings, if they were wanted.
    pub(crate) everything: Option<Changes>,
    /// What the store had recorded of budgets.
    pub(crate) recorded: Vec<Spend>,
    /// What it had not.
    pub(crate) unrecorded: Vec<Spend>,
}

impl Snapshot {
    /// The file at this path, of a store at this place.
    pub(crate) fn new(path: PathBuf, digester: KeyDigester, place: String, sealing: Sealing) -> Self {
        Self { path, digester, place, sealing, state: Mutex::default(), is_failing: AtomicBool::new(false) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file could not be written the last time.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// What was last written of the store that is followed; none if nothing ever was. What is spent according to it is
    /// carried on. `followed` is the state of the store, if that could be read.
    pub(crate) fn read(&self, wanted: Wanted, followed: Option<&Position>) -> io::Result<Option<LastGood>> {
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
        let mut state = self.state.lock();
        state.store = followed.map(|followed| Arc::clone(&followed.store));
        if let Some(head) = replay.head.as_ref().filter(|head| !self.is_own(head, state.store.as_deref())) {
            self.say_whose(head);
            state.is_guest = true;
            return Ok(None);
        }
        let everything = (wanted == Wanted::Everything).then(|| replay.take_changes(&self.sealing));
        let recorded = spends(&replay.sums, |sums| sums.recorded);
        let Found::Own(log) = found else {
            // The other process will record what it has spent, as long as it lives.
            state.is_guest = true;
            return Ok(Some(LastGood { everything, recorded, unrecorded: Vec::new() }));
        };
        let unrecorded = spends(&replay.sums, |sums| sums.unrecorded);
        let found = replay.is_of_today(&self.place).then(|| replay.position());
        let store = state.store.take();
        let Replay { settings, sums, .. } = replay;
        *state = State { log: Some(*log), store, found, settings, sums, ..State::default() };
        Ok(Some(LastGood { everything, recorded, unrecorded }))
    }

    /// What a process that has ended had not recorded: somebody has to do that in its stead.
    pub(crate) fn take_inherited(&self) -> Vec<Spend> {
        let mut state = self.state.lock();
        self.take_over(&mut state);
        std::mem::take(&mut state.inherited)
    }

    /// Whether a file is that of the store that is followed: the identifier says so, or, while that is not known, the place.
    fn is_own(&self, head: &Head, store: Option<&str>) -> bool {
        match (head.store.as_deref(), store) {
            (Some(found), Some(store)) => found == store,
            (_, Some(_)) => true,
            (_, None) => head.place.as_ref().is_none_or(|place| *place == self.place),
        }
    }

    fn say_whose(&self, head: &Head) {
        let (path, place) = (self.path.display(), &self.place);
        let of = head.place.as_deref().unwrap_or_default();
        tracing::error!(
            %path, of, place,
            "the last good state is that of another store and is not used; each store needs a server.state_dir of its own"
        );
    }

    /// Goes on with the file of another process that has ended, or with one that has turned out to be of this store.
    fn take_over(&self, state: &mut State) {
        if !state.is_guest || is_anothers(&self.path) {
            return;
        }
        if head_of(&self.path).is_some_and(|head| !self.is_own(&head, state.store.as_deref())) {
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

    /// Takes over that everything was read from the store, for the first time. Returns whether the whole has to be written
    /// anew, by [`Self::rewrite`]: it does not if the file is of the very same state.
    pub(crate) fn meet(&self, everything: &Changes) -> bool {
        let news = {
            let mut state = self.state.lock();
            state.store = Some(Arc::clone(&everything.position.store));
            let is_current = state.found.take().as_ref() == Some(&everything.position) && state.log.is_some();
            // They are sealed with another key today, or were not.
            let news = everything.settings.as_ref().map(|settings| state.settings.update(settings, &self.sealing));
            !is_current || news.is_some_and(|news| !news.is_empty())
        };
        if news {
            self.begin();
        }
        news
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
        state.store = Some(Arc::clone(&changes.position.store));
        self.take_over(&mut state);
        let settings = changes.settings.as_ref().map(|settings| state.settings.update(settings, &self.sealing));
        if changes.is_everything {
            state.meanwhile = None;
            let settings = state.settings.lines().collect();
            let draft = self.draft(changes, state.whole(changes, settings));
            if !self.publish(&mut state, draft, &[]) {
                // What there is may be of another store.
                state.log = None;
            }
        } else {
            let gone = changes.removed.iter().map(ToString::to_string);
            let gone = gone.chain(changes.unreadable.iter().map(|(id, _)| id.clone()));
            let keys = changes.keys.iter().map(|key| Line::Key(Box::new(key.into())));
            let lines = keys.chain(gone.map(Line::Removed)).chain(settings.into_iter().flatten());
            let lines = lines.chain([state_line(&changes.position)]).collect();
            self.append(&mut state, Batch { version: Some(changes.position.version), lines });
        }
    }

    fn draft(&self, everything: &Changes, lines: Vec<Line>) -> io::Result<Draft> {
        let of = Origin { store: &everything.position.store, place: &self.place };
        Log::draft(&self.path, &self.digester, of, lines)
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
    pub(crate) fn rewrite(&self, everything: &Changes) {
        let lines = {
            let mut state = self.state.lock();
            // What was followed last is not touched: it is what the lines that come meanwhile go on from.
            let mut settings = state.settings.clone();
            if let Some(stored) = &everything.settings {
                settings.update(stored, &self.sealing);
            }
            state.whole(everything, settings.lines().collect())
        };
        let draft = self.draft(everything, lines);
        let mut state = self.state.lock();
        // Otherwise somebody had to write it for another store.
        let Some(meanwhile) = state.meanwhile.take() else { return };
        let is_news = |batch: &Batch| batch.version.is_none_or(|version| version > everything.position.version);
        let news: Vec<_> = meanwhile.into_iter().filter(is_news).flat_map(|batch| batch.lines).collect();
        self.publish(&mut state, draft, &news);
    }

    /// Notes what is recorded in the store of what was spent, where that is known, and everything that is not recorded, if
    /// that is.
    pub(crate) fn note_spending(&self, recorded: &[Spend], unrecorded: Option<&[Spend]>) {
        let mut state = self.state.lock();
        let lines = spending::note(&mut state.sums, recorded, unrecorded);
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
        state.is_guest = matches!(&done, Err(error) if error.kind() == io::ErrorKind::ResourceBusy);
        let done = if state.is_guest { self.judge_other(state) } else { done };
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

    /// Another process writes the file, which is as good if it follows the same store.
    fn judge_other(&self, state: &State) -> io::Result<()> {
        match head_of(&self.path) {
            Some(head) if !self.is_own(&head, state.store.as_deref()) => {
                let place = head.place.unwrap_or_default();
                let problem =
                    format!("the gateway of another store, {place}, writes it; give each its own server.state_dir");
                Err(io::Error::other(problem))
            }
            _ => Ok(()),
        }
    }
}

impl State {
    /// Everything there is to say, given the lines about settings.
    fn whole(&mut self, everything: &Changes, settings: Vec<Line>) -> Vec<Line> {
        let keys = everything.keys.iter().map(|key| Line::Key(Box::new(key.into())));
        let mut lines: Vec<_> = keys.chain(settings).chain([state_line(&everything.position)]).collect();
        let now = Timestamp::now();
        let is_over = |window: &BudgetWindow| window.end().is_some_and(|end| end <= now);
        self.sums.retain(|(_, window), sums| sums.unrecorded > 0 || sums.recorded > 0 && !is_over(window));
        lines.extend(self.sums.iter().map(|(window, sums)| spent_line(window, *sums)));
        lines
    }
}

fn state_line(position: &Position) -> Line {
    Line::State { version: position.version.0, token: position.token.to_string() }
}

#[cfg(test)]
mod tests;
