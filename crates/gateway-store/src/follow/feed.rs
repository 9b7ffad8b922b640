//! What has changed comes into memory.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{Changes, KeyDirectory, Position, StoreError, UnreadableSettings};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::{FollowerStatus, Following, LoadedFrom, SettingsBook, needs_attention};
use crate::Backend;
use crate::snapshot::Snapshot;

/// How long to wait before the store is tried again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long the store may take over the last answer once the process is to stop, because whoever waits for one would wait in vain.
const LAST_ANSWER: Duration = Duration::from_secs(1);

pub(super) struct Feed {
    backend: Arc<dyn Backend>,
    directory: Arc<KeyDirectory>,
    settings: Arc<dyn SettingsBook>,
    snapshot: Option<Arc<Snapshot>>,
    status: watch::Sender<FollowerStatus>,
    /// What to do about a store that is damaged.
    remedy: String,
    /// The generation of the store in which its tables were found to be current. The first one's are brought up to date;
    /// after that, a store that comes without its tables has been put there by mistake, and to make them anew would be to
    /// forget every key.
    checked: Option<u64>,
    /// The generation that memory is of, and the state that the store was in.
    read: Option<(u64, Position)>,
}

impl Feed {
    pub(super) fn new(following: &Following, status: watch::Sender<FollowerStatus>) -> Self {
        Self {
            backend: Arc::clone(&following.backend),
            directory: Arc::clone(&following.directory),
            settings: Arc::clone(&following.settings),
            snapshot: None,
            status,
            remedy: following.remedy.clone(),
            checked: None,
            read: None,
        }
    }

    /// Where what changes from now on is to be kept. What has been read already is written there by the books, because to
    /// write a large store takes as long as to read it, and nobody is to wait for that at the start.
    pub(super) fn snapshot_to(&mut self, snapshot: Option<Arc<Snapshot>>) {
        self.snapshot = snapshot;
    }

    /// Follows until it is time to stop.
    pub(super) async fn follow(mut self, hurry: Arc<Notify>, mut stopping: watch::Receiver<bool>) {
        let end = stopping.clone();
        let too_late = async {
            stop_is_due(&mut stopping).await;
            sleep(LAST_ANSWER).await;
        };
        tokio::select! {
            () = self.follow_until(end, &hurry) => {}
            () = too_late => {}
        }
    }

    async fn follow_until(&mut self, mut end: watch::Receiver<bool>, hurry: &Notify) {
        let backend = Arc::clone(&self.backend);
        let mut wait = FIRST_WAIT;
        let mut changed = None;
        loop {
            if let Err(error) = self.catch_up().await {
                changed = None;
                self.lose(&error);
                let jittered = wait.mul_f64(fastrand::f64().midpoint(1.0));
                if timeout(jittered, stop_is_due(&mut end)).await.is_ok() {
                    return;
                }
                wait = (wait * 2).min(LONGEST_WAIT);
                continue;
            }
            wait = FIRST_WAIT;
            // Kept while somebody is in a hurry: to ask anew each time costs a backend more than to go on waiting.
            let signal = changed.get_or_insert_with(|| backend.changed());
            tokio::select! {
                // First, because to ask for a signal may be to connect.
                biased;
                () = stop_is_due(&mut end) => return,
                () = hurry.notified() => {}
                done = signal.as_mut() => {
                    changed = None;
                    if let Err(error) = done {
                        self.lose(&error);
                    }
                }
            }
        }
    }

    /// Brings memory to the state of the store, and gives back what has changed.
    pub(super) async fn catch_up(&mut self) -> Result<Changes, StoreError> {
        let generation = self.backend.generation();
        self.check_tables(generation).await?;
        // What is there now may be another store.
        let since = self.read.as_ref().filter(|(read, _)| *read == generation).map(|(_, position)| position);
        let mut changes = self.backend.changes(since).await?;
        if self.backend.generation() != generation {
            return Err(unavailable("it was replaced while it was read"));
        }
        let position = changes.position.clone();
        if changes.is_everything || since != Some(&position) {
            if let Some(since) = since.filter(|_| changes.is_everything) {
                say_why_everything(since, &position);
            }
            changes = self.apply(changes, self.snapshot.clone()).await?;
        }
        self.read = Some((generation, position.clone()));
        self.directory.set_reachable(true);
        let after =
            FollowerStatus { is_reachable: true, loaded_from: LoadedFrom::Store, position, ..Default::default() };
        let before = self.status.borrow().clone();
        if before != after {
            if before.last_error.is_some() {
                tracing::info!(version = after.position.version.0, "the store can be reached again");
            }
            // Last: who reads the position has to find everything else at that state.
            self.status.send_replace(after);
        }
        Ok(changes)
    }

    async fn check_tables(&mut self, generation: u64) -> Result<(), StoreError> {
        match self.checked {
            Some(checked) if checked == generation => return Ok(()),
            Some(_) => {
                tracing::warn!("another store was put in the place of the one that was followed; all of it is read");
                let (found, known) = (self.backend.version().await?, self.backend.known_version());
                if found != known {
                    let problem = format!("what was put in its place has version {found}, not {known}");
                    return Err(StoreError::Damaged { problem });
                }
            }
            None => drop(self.backend.migrate_up().await?),
        }
        self.checked = Some(generation);
        Ok(())
    }

    /// Notes that the store does not answer.
    pub(super) fn lose(&self, error: &StoreError) {
        let needs_attention = needs_attention(error);
        let error = match error {
            StoreError::Damaged { .. } => format!("{error}; {}", self.remedy),
            _ => error.with_cause(),
        };
        self.directory.set_reachable(false);
        let before = self.status.borrow().clone();
        if needs_attention && !before.needs_attention {
            tracing::error!(error, "the store cannot be used; keys that are known go on working");
        } else if before.last_error.is_none() {
            tracing::warn!(error, "the store cannot be reached; keys that are known go on working");
        }
        self.status.send_if_modified(|status| {
            let is_new = status.last_error.as_ref() != Some(&error);
            status.is_reachable = false;
            status.needs_attention = needs_attention;
            status.last_error = Some(error);
            is_new
        });
    }

    /// Takes the last good state for the time being.
    pub(super) async fn stand_in(&self, everything: Changes) -> Result<(), StoreError> {
        let (position, keys) = (everything.position.clone(), everything.keys.len());
        let settings = everything.settings.as_ref().map_or(0, |settings| settings.records.len());
        self.apply(everything, None).await?;
        tracing::warn!(
            version = position.version.0,
            keys,
            settings,
            "keys and settings of the last good state stand in for the store"
        );
        self.status.send_modify(|status| {
            status.loaded_from = LoadedFrom::Snapshot;
            status.position = position;
        });
        Ok(())
    }

    /// Puts changes into memory, tells of settings, and puts all into the snapshot. Everything may be a hundred thousand keys,
    /// and takes long enough to be in the way of calls.
    async fn apply(&self, changes: Changes, snapshot: Option<Arc<Snapshot>>) -> Result<Changes, StoreError> {
        for (id, problem) in &changes.unreadable {
            tracing::error!(id, problem, "a key in the store cannot be read and is left out");
        }
        let unreadable = changes.settings.iter().flat_map(|settings| &settings.unreadable);
        for UnreadableSettings { kind, name, problem } in unreadable {
            tracing::error!(%kind, name, problem, "an entry of the store cannot be read and is left out");
        }
        let (directory, settings) = (Arc::clone(&self.directory), Arc::clone(&self.settings));
        let applied = spawn_blocking(move || {
            let refused = directory.apply(&changes);
            if let Some(stored) = &changes.settings {
                settings.take(stored.clone());
            }
            if let Some(snapshot) = snapshot {
                snapshot.follow(&changes);
            }
            (refused, changes)
        });
        match applied.await {
            Ok((refused, changes)) => {
                for (id, problem) in refused {
                    tracing::error!(%id, %problem, "a key in the store makes no sense and is left out");
                }
                Ok(changes)
            }
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Err(unavailable("the process is stopping")),
        }
    }
}

/// Returns when it is time to stop, or when nobody is left to say so.
async fn stop_is_due(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn say_why_everything(since: &Position, position: &Position) {
    let (before, now) = (since.version.0, position.version.0);
    if since.store != position.store {
        tracing::warn!(before, now, "another store is there than the one that was followed; all of it is read");
    } else if before >= now {
        tracing::warn!(before, now, "the store was put back to an earlier state; all of it is read");
    } else {
        tracing::info!(before, now, "too much has changed in the store to tell what; all of it is read");
    }
}

fn unavailable(problem: &'static str) -> StoreError {
    StoreError::Unavailable { source: problem.into() }
}
