//! What was spent and used goes into the store, and the state of the store into the snapshot.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{KeyDirectory, Spent, StoreError, Version};
use gateway_ratelimit::{Spend, SpendBook};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{FollowerStatus, LoadedFrom, snapshot, told};
use crate::Backend;

/// How often what was spent is written, and so how much a crash forgets.
const SPENDING: Duration = Duration::from_secs(1);
/// How often it is written which keys were used.
const USE: Duration = Duration::from_secs(5);
/// How often it is read what other nodes have spent on keys that this one has not spent on since.
const TOTALS: Duration = Duration::from_secs(10);
/// How much longer to wait for the next snapshot than the last one took: a large store is copied less often.
const SNAPSHOT_SHARE: u32 = 10;
/// No window that is not over began longer ago: a month, and a day for clocks that differ.
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(32 * 24);

pub(super) struct Books {
    backend: Arc<dyn Backend>,
    directory: Arc<KeyDirectory>,
    spending: Arc<dyn SpendBook>,
    status: watch::Sender<FollowerStatus>,
    is_spending_lost: bool,
    next_use: Instant,
    next_totals: Instant,
    snapshot: Option<Snapshot>,
}

struct Snapshot {
    path: PathBuf,
    written: Option<Version>,
    next: Instant,
    is_failing: bool,
}

impl Books {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        directory: Arc<KeyDirectory>,
        spending: Arc<dyn SpendBook>,
        status: watch::Sender<FollowerStatus>,
    ) -> Self {
        let now = Instant::now();
        Self {
            backend,
            directory,
            spending,
            status,
            is_spending_lost: false,
            next_use: now + USE,
            next_totals: now,
            snapshot: None,
        }
    }

    /// Where the last good state is to be kept.
    pub(super) fn snapshot_to(&mut self, path: Option<PathBuf>) {
        let next = Instant::now();
        self.snapshot = path.map(|path| Snapshot { path, written: None, next, is_failing: false });
    }

    /// Keeps the books until it is time to stop, and closes them.
    pub(super) async fn keep(mut self, mut stopping: watch::Receiver<bool>) {
        let mut tick = interval(SPENDING);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = tick.tick() => false,
                _ = stopping.wait_for(|stopping| *stopping) => true,
            };
            // What cannot be written now stays where it is; the feed finds out when it can be.
            if self.status.borrow().is_reachable {
                self.record(is_last).await;
            }
            if is_last {
                return;
            }
        }
    }

    async fn record(&mut self, is_last: bool) {
        let now = Instant::now();
        self.record_spending().await;
        if is_last || now >= self.next_use {
            self.next_use = now + USE;
            self.record_use().await;
        }
        if !is_last && now >= self.next_totals {
            self.read_totals().await;
        }
        self.record_state(is_last).await;
    }

    async fn record_spending(&mut self) {
        let unrecorded = self.spending.take_unrecorded();
        if unrecorded.is_empty() {
            return;
        }
        let spent: Vec<_> = unrecorded
            .iter()
            .map(|(account, window, amount)| Spent { account: Arc::clone(account), window: *window, amount: *amount })
            .collect();
        match self.backend.spend(&spent).await {
            Ok(totals) => {
                self.spending.note_totals(&noted(totals));
                if std::mem::take(&mut self.is_spending_lost) {
                    tracing::info!("what is spent is recorded again");
                }
            }
            Err(error) => {
                // It may have been recorded all the same, if only the answer was lost. Then it counts twice: too much is
                // a budget that ends early by one second's spending, too little would be one that never ends.
                self.spending.put_back(unrecorded);
                if !std::mem::replace(&mut self.is_spending_lost, true) {
                    tracing::warn!(error = told(&error), "what is spent cannot be recorded; it is kept in memory");
                }
            }
        }
    }

    async fn record_use(&mut self) {
        let now = Timestamp::now();
        let used: Vec<_> = self.directory.take_used().into_iter().map(|id| (id, now)).collect();
        if used.is_empty() {
            return;
        }
        if let Err(error) = self.backend.touch(&used).await {
            // They will be used again, or it matters little when they last were.
            tracing::debug!(error = told(&error), "it was not recorded which keys were used");
        }
    }

    /// Takes over what all nodes have spent.
    pub(super) async fn read_totals(&mut self) {
        let since = Timestamp::now().checked_sub(LONGEST_WINDOW).unwrap_or(Timestamp::MIN);
        match self.backend.totals(since).await {
            Ok(totals) => {
                self.spending.note_totals(&noted(totals));
                self.next_totals = Instant::now() + TOTALS;
            }
            Err(error) => tracing::debug!(error = told(&error), "what other nodes have spent cannot be read"),
        }
    }

    /// Writes the snapshot if the store has changed since the last one.
    async fn record_state(&mut self, is_last: bool) {
        let loaded = {
            let status = self.status.borrow();
            (status.loaded_from == LoadedFrom::Store).then_some(status.version)
        };
        let Some(snapshot) = &mut self.snapshot else { return };
        let now = Instant::now();
        if loaded.is_none() || loaded == snapshot.written || now < snapshot.next && !is_last {
            return;
        }
        match write(&*self.backend, snapshot.path.clone()).await {
            Ok(version) => {
                snapshot.written = Some(version);
                if std::mem::take(&mut snapshot.is_failing) {
                    tracing::info!("the last good state is written again");
                }
            }
            Err(error) if !std::mem::replace(&mut snapshot.is_failing, true) => {
                tracing::error!(error, path = %snapshot.path.display(), "the last good state cannot be written");
            }
            Err(_) => {}
        }
        snapshot.next = Instant::now() + (now.elapsed() * SNAPSHOT_SHARE);
    }
}

/// Reads the whole state of the store once more rather than keep a second copy of it in memory all the time.
async fn write(backend: &dyn Backend, path: PathBuf) -> Result<Version, String> {
    let state = backend.changes(None).await.map_err(|error: StoreError| told(&error))?;
    let version = state.version;
    let written = spawn_blocking(move || snapshot::write(&path, &state)).await.map_err(|error| error.to_string())?;
    written.map_err(|error| error.to_string())?;
    Ok(version)
}

fn noted(totals: Vec<Spent>) -> Vec<Spend> {
    totals.into_iter().map(|total| (total.account, total.window, total.amount)).collect()
}
