//! What has changed comes into memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway_keystore::{Changes, KeyDirectory, StoreError};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::{FollowerStatus, LoadedFrom, snapshot, told};
use crate::Backend;

/// How long to wait before the store is tried again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Feed {
    backend: Arc<dyn Backend>,
    directory: Arc<KeyDirectory>,
    status: watch::Sender<FollowerStatus>,
    /// Once they are, they stay as they are: a store that comes back without its tables has been put there by mistake,
    /// and to make them anew would be to forget every key.
    are_tables_current: bool,
}

impl Feed {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        directory: Arc<KeyDirectory>,
        status: watch::Sender<FollowerStatus>,
    ) -> Self {
        Self { backend, directory, status, are_tables_current: false }
    }

    /// Follows until it is time to stop.
    pub(super) async fn follow(mut self, hurry: Arc<Notify>, mut stopping: watch::Receiver<bool>) {
        tokio::select! {
            () = self.follow_for_ever(&hurry) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    async fn follow_for_ever(&mut self, hurry: &Notify) {
        let backend = Arc::clone(&self.backend);
        let mut wait = FIRST_WAIT;
        let mut changed = None;
        loop {
            if let Err(error) = self.catch_up().await {
                changed = None;
                self.lose(&error);
                sleep(wait.mul_f64(fastrand::f64().midpoint(1.0))).await;
                wait = (wait * 2).min(LONGEST_WAIT);
                continue;
            }
            wait = FIRST_WAIT;
            // Kept while somebody is in a hurry: to ask anew each time costs a backend more than to go on waiting.
            let signal = changed.get_or_insert_with(|| backend.changed());
            tokio::select! {
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

    /// Brings memory to the state of the store.
    pub(super) async fn catch_up(&mut self) -> Result<(), StoreError> {
        if !self.are_tables_current {
            self.backend.migrate_up().await?;
            self.are_tables_current = true;
        }
        let since = {
            let status = self.status.borrow();
            // A snapshot may be that of another store.
            (status.loaded_from == LoadedFrom::Store).then_some(status.version)
        };
        let changes = self.backend.changes(since).await?;
        let version = changes.version;
        if since != Some(version) {
            self.apply(changes).await;
        }
        self.directory.set_reachable(true);
        let after = FollowerStatus { is_reachable: true, loaded_from: LoadedFrom::Store, version, last_error: None };
        let before = self.status.borrow().clone();
        if before != after {
            if before.last_error.is_some() {
                tracing::info!(version = version.0, "the store can be reached again");
            }
            self.status.send_replace(after);
        }
        Ok(())
    }

    /// Notes that the store does not answer.
    pub(super) fn lose(&self, error: &StoreError) {
        let told = told(error);
        self.directory.set_reachable(false);
        if self.status.borrow().last_error.is_none() {
            tracing::warn!(error = told, "the store cannot be reached; keys that are known go on working");
        }
        self.status.send_if_modified(|status| {
            let is_new = status.last_error.as_ref() != Some(&told);
            status.is_reachable = false;
            status.last_error = Some(told);
            is_new
        });
    }

    /// Takes the keys of the last good state for the time being.
    pub(super) async fn stand_in(&self, path: &Path) {
        let found = {
            let path = path.to_owned();
            spawn_blocking(move || snapshot::read(&path)).await
        };
        match found.unwrap_or_else(|error| Err(error.into())) {
            Ok(Some(state)) => {
                let version = state.version;
                let keys = state.keys.len();
                self.apply(state).await;
                tracing::warn!(version = version.0, keys, "the keys of the last good state stand in for the store");
                self.status.send_modify(|status| {
                    status.loaded_from = LoadedFrom::Snapshot;
                    status.version = version;
                });
            }
            Ok(None) => tracing::warn!("there is no last good state either; no key is known until the store answers"),
            Err(error) => tracing::error!(%error, path = %path.display(), "the last good state cannot be read"),
        }
    }

    /// Everything may be a hundred thousand keys, and takes long enough to be in the way of calls.
    async fn apply(&self, changes: Changes) {
        for (id, problem) in &changes.unreadable {
            tracing::error!(id, problem, "a key in the store cannot be read and is left out");
        }
        let directory = Arc::clone(&self.directory);
        let applied = spawn_blocking(move || directory.apply(&changes)).await;
        match applied {
            Ok(refused) => {
                for (id, problem) in refused {
                    tracing::error!(%id, %problem, "a key in the store makes no sense and is left out");
                }
            }
            // The runtime is shutting down.
            Err(error) => tracing::debug!(%error, "changes were not applied"),
        }
    }
}
