//! What was spent and used goes into the store, and what the store knows of spending into the snapshot.

use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{Changes, KeyDirectory, StoreError, StoreFuture};
use gateway_ratelimit::{NanoUsd, Spend, SpendBook};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{FollowerStatus, Following, LoadedFrom};
use crate::Backend;
use crate::snapshot::Snapshot;

/// How often what was spent is written, and so how much a crash forgets.
const SPENDING: Duration = Duration::from_secs(1);
/// How often it is written which keys were used.
const USE: Duration = Duration::from_secs(5);
/// How often it is read what other nodes have spent on keys that this one has not spent on since.
const TOTALS: Duration = Duration::from_secs(10);
/// How much longer to wait for the next whole snapshot than the last one took: a large store is copied less often.
const SNAPSHOT_SHARE: u32 = 10;
/// How long a store may take to answer once the process is to stop.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// By how much the clocks of nodes may differ: windows that have ended since are read, too.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

pub(super) struct Books {
    backend: Arc<dyn Backend>,
    directory: Arc<KeyDirectory>,
    spending: Arc<dyn SpendBook>,
    snapshot: Option<Arc<Snapshot>>,
    status: watch::Sender<FollowerStatus>,
    stopping: watch::Receiver<bool>,
    is_spending_lost: bool,
    next_use: Instant,
    next_totals: Instant,
    next_snapshot: Instant,
    /// The state of the store at the start, until it is in the snapshot.
    first: Option<Changes>,
}

impl Books {
    pub(super) fn new(
        following: &Following,
        snapshot: Option<Arc<Snapshot>>,
        status: watch::Sender<FollowerStatus>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            backend: Arc::clone(&following.backend),
            directory: Arc::clone(&following.directory),
            spending: Arc::clone(&following.spending),
            snapshot,
            status,
            stopping,
            is_spending_lost: false,
            next_use: now + USE,
            next_totals: now,
            next_snapshot: now,
            first: None,
        }
    }

    /// What is to be in the snapshot before anything else.
    pub(super) fn write_first(&mut self, everything: Changes) {
        self.first = Some(everything);
    }

    /// Keeps the books until it is time to stop, and closes them.
    pub(super) async fn keep(mut self) {
        if let Some(everything) = self.first.take() {
            self.note(move |snapshot| snapshot.rewrite(&everything)).await;
        }
        let mut tick = interval(SPENDING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = self.stopping.wait_for(|stopping| *stopping) => break,
            }
            self.record(false).await;
        }
        self.record(true).await;
        self.say_what_is_left();
    }

    async fn record(&mut self, is_last: bool) {
        self.inherit().await;
        let is_reachable = self.status.borrow().is_reachable;
        // What cannot be written now is kept; the feed finds out when it can be.
        let is_answering = self.record_spending(is_reachable).await;
        if !is_reachable || is_last && !is_answering {
            return;
        }
        if !is_last && *self.stopping.borrow() {
            // Nothing else matters now, and a store that does not answer would be waited for too often.
            return;
        }
        let now = Instant::now();
        if is_last || now >= self.next_use {
            self.next_use = now + USE;
            self.record_use().await;
        }
        if !is_last && now >= self.next_totals {
            self.read_totals().await;
        }
        if is_last || now >= self.next_snapshot {
            let began = Instant::now();
            self.write_snapshot().await;
            self.next_snapshot = Instant::now() + began.elapsed() * SNAPSHOT_SHARE;
        }
    }

    /// Takes over what another process that wrote the snapshot has left unrecorded.
    async fn inherit(&self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        // An error says that the runtime is shutting down.
        if let Ok(inherited) = spawn_blocking(move || snapshot.take_inherited()).await
            && !inherited.is_empty()
        {
            self.spending.put_back(inherited);
        }
    }

    /// Returns whether everything that was spent is recorded.
    async fn record_spending(&mut self, is_reachable: bool) -> bool {
        let unrecorded = self.spending.take_unrecorded();
        if unrecorded.is_empty() {
            return true;
        }
        if !is_reachable {
            self.keep_unrecorded(unrecorded).await;
            return false;
        }
        let recorded = self.answer(self.backend.spend(&unrecorded)).await;
        match recorded {
            Ok(totals) => {
                self.spending.note_totals(&totals);
                self.note(move |snapshot| snapshot.note_spending(&totals, Some(&[]))).await;
                if std::mem::take(&mut self.is_spending_lost) {
                    tracing::info!("what is spent is recorded again");
                }
                true
            }
            Err(error) => {
                // It may have been recorded all the same, if only the answer was lost. Then it counts twice: too much is
                // a budget that ends early by one second's spending, too little would be one that never ends.
                self.keep_unrecorded(unrecorded).await;
                if !std::mem::replace(&mut self.is_spending_lost, true) {
                    tracing::warn!(
                        error = error.with_cause(),
                        "what is spent cannot be recorded; it is kept in memory"
                    );
                }
                false
            }
        }
    }

    /// Keeps what could not be recorded, in memory and for the next start.
    async fn keep_unrecorded(&self, unrecorded: Vec<Spend>) {
        let kept = unrecorded.clone();
        // First, because this task may end at any time.
        self.spending.put_back(unrecorded);
        self.note(move |snapshot| snapshot.note_spending(&[], Some(&kept))).await;
    }

    async fn record_use(&mut self) {
        let now = Timestamp::now();
        let used: Vec<_> = self.directory.take_used().into_iter().map(|id| (id, now)).collect();
        if used.is_empty() {
            return;
        }
        if let Err(error) = self.answer(self.backend.touch(&used)).await {
            // They will be used again, or it matters little when they last were.
            tracing::debug!(error = error.with_cause(), "it was not recorded which keys were used");
        }
    }

    /// Takes over what all nodes have spent.
    pub(super) async fn read_totals(&mut self) {
        let at = Timestamp::now().checked_sub(CLOCKS_DIFFER).unwrap_or(Timestamp::MIN);
        match self.answer(self.backend.totals(at)).await {
            Ok(totals) => {
                self.spending.note_totals(&totals);
                self.note(move |snapshot| snapshot.note_spending(&totals, None)).await;
                self.next_totals = Instant::now() + TOTALS;
            }
            Err(error) => tracing::debug!(error = error.with_cause(), "what other nodes have spent cannot be read"),
        }
    }

    /// Writes the whole snapshot if it has become long or could not be written. The state of the store is read once more
    /// rather than kept a second time in memory.
    async fn write_snapshot(&self) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        let is_known = self.status.borrow().loaded_from == LoadedFrom::Store;
        let is_wanted = spawn_blocking(move || snapshot.wants_rewriting()).await.unwrap_or(false);
        if !is_known || !is_wanted {
            return;
        }
        self.note(Snapshot::begin).await;
        match self.answer(self.backend.changes(None)).await {
            Ok(everything) => self.note(move |snapshot| snapshot.rewrite(&everything)).await,
            Err(error) => {
                self.note(Snapshot::give_up).await;
                tracing::debug!(error = error.with_cause(), "the store cannot be read for the last good state");
            }
        }
    }

    async fn note(&self, act: impl FnOnce(&Snapshot) + Send + 'static) {
        if let Some(snapshot) = self.snapshot.clone() {
            // An error says that the runtime is shutting down.
            let _ = spawn_blocking(move || act(&snapshot)).await;
        }
    }

    /// Waits for the store, but not for long once it is time to stop: what it does not take then has to be kept elsewhere.
    async fn answer<T>(&self, work: StoreFuture<'_, T>) -> Result<T, StoreError> {
        let mut stopping = self.stopping.clone();
        let too_long = async move {
            // An error says that nobody is there any more to tell it to stop.
            let _ = stopping.wait_for(|stopping| *stopping).await;
            sleep(LAST_WORDS).await;
        };
        tokio::select! {
            answer = work => answer,
            () = too_long => Err(StoreError::Unavailable { source: "it has not answered in time".into() }),
        }
    }

    fn say_what_is_left(&self) {
        let left = self.spending.take_unrecorded();
        let sum = left.iter().fold(0_u64, |sum, spend| sum.saturating_add(spend.amount.0));
        if sum == 0 {
            return;
        }
        let (usd, keys) = (NanoUsd(sum).usd(), left.len());
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.is_kept()) {
            tracing::warn!(usd, keys, "what was spent is not recorded in the store; the next start will do that");
        } else {
            tracing::warn!(usd, keys, "what was spent could not be recorded and is lost");
        }
    }
}
