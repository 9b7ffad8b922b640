//! A store in memory that keeps the contracts of [`KeyRepository`] and [`SettingsRepository`], and fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use gateway_keystore::{
    AuditEntry, AuditRecord, KeyChange, KeyRecord, KeyRepository, NotedChange, Position, SettingsChange, SettingsKind,
    SettingsRecord, SettingsRepository, StoreChange, StoreError, StoreFuture, StoredSettings, UnreadableSettings,
    Version,
};
use gateway_secret::{KeyDigest, Secret};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Barrier;

/// What is wrong with a row that was damaged by hand.
const DAMAGE: &str = "rate_limit: has to be a JSON object";
/// What is wrong with one whose secrets cannot be opened.
const SEAL: &str = "secrets: sealed with a key that is not there";

#[derive(Default)]
pub(crate) struct FakeStore {
    held: Mutex<Held>,
    pub(crate) is_down: AtomicBool,
    /// Whether it breaks off when it is asked for the rest of an entry whose secrets cannot be opened.
    pub(crate) is_down_for_the_rest: AtomicBool,
    /// Whether it takes no writes.
    pub(crate) is_full: AtomicBool,
    /// How many of the next writes find that somebody else was faster.
    pub(crate) stale_writes: AtomicU32,
    /// Where readers wait for each other, once.
    pub(crate) meeting: Mutex<Option<Arc<Barrier>>>,
}

#[derive(Default)]
struct Held {
    keys: BTreeMap<String, KeyRecord>,
    settings: BTreeMap<(SettingsKind, String), SettingsRecord>,
    /// Those of the keys whose rows cannot be read.
    damaged: BTreeSet<String>,
    /// Those of the providers and models whose secrets cannot be opened.
    sealed: BTreeSet<String>,
    audit: Vec<AuditRecord>,
    version: i64,
}

impl FakeStore {
    pub(crate) fn record(&self, id: &str) -> Option<KeyRecord> {
        self.held.lock().keys.get(id).cloned()
    }

    /// Puts a row there by hand.
    pub(crate) fn put(&self, record: KeyRecord) {
        self.held.lock().keys.insert(record.id.to_string(), record);
    }

    /// Makes a row unreadable by hand.
    pub(crate) fn damage(&self, id: &str) {
        self.held.lock().damaged.insert(id.to_owned());
    }

    /// Loses the key with which the secrets of an entry are sealed.
    pub(crate) fn seal(&self, name: &str) {
        self.held.lock().sealed.insert(name.to_owned());
    }

    /// Takes the row of a provider or a model away by hand.
    pub(crate) fn take_settings(&self, kind: SettingsKind, name: &str) {
        self.held.lock().settings.remove(&(kind, name.to_owned()));
    }

    pub(crate) fn version(&self) -> i64 {
        self.held.lock().version
    }

    /// Puts the row of a provider or a model there by hand.
    pub(crate) fn put_settings(&self, kind: SettingsKind, name: &str, settings: &str, secrets: Option<&str>) {
        let record = SettingsRecord {
            kind,
            name: name.into(),
            settings: settings.to_owned(),
            secrets: secrets.map(Secret::from),
            revision: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        self.held.lock().settings.insert((kind, name.to_owned()), record);
    }

    pub(crate) fn settings(&self, kind: SettingsKind, name: &str) -> Option<SettingsRecord> {
        self.held.lock().settings.get(&(kind, name.to_owned())).cloned()
    }

    /// What whoever follows the store is told of providers and models.
    pub(crate) fn stored_settings(&self) -> StoredSettings {
        let held = self.held.lock();
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for record in held.settings.values() {
            match held.check_settings(&record.name) {
                Ok(()) => records.push(record.clone()),
                Err(problem) => {
                    let (kind, name) = (record.kind, record.name.to_string());
                    unreadable.push(UnreadableSettings { kind, name, problem: problem.to_owned() });
                }
            }
        }
        StoredSettings { records, unreadable }
    }

    /// How many writes there were.
    pub(crate) fn writes(&self) -> usize {
        self.held.lock().audit.len()
    }

    pub(crate) fn last_note(&self) -> AuditRecord {
        self.held.lock().audit.last().cloned().expect("a note")
    }

    /// Whether a write can be made at all.
    fn check_write(&self) -> Result<(), StoreError> {
        self.check()?;
        if self.is_full.load(Ordering::Relaxed) {
            return Err(StoreError::Refused { source: "database or disk is full".into() });
        }
        let lose = |left: u32| left.checked_sub(1);
        if self.stale_writes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lose).is_ok() {
            return Err(StoreError::Stale);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { source: "secret-host:5432 refused".into() });
        }
        Ok(())
    }
}

impl Held {
    /// What is wrong with the row of this name.
    fn check_settings(&self, name: &str) -> Result<(), &'static str> {
        match (self.damaged.contains(name), self.sealed.contains(name)) {
            (true, _) => Err(DAMAGE),
            (false, true) => Err(SEAL),
            (false, false) => Ok(()),
        }
    }

    fn write_all(&mut self, changes: &[NotedChange]) -> Result<Version, StoreError> {
        let mut version = Version(self.version);
        for NotedChange { change, note } in changes {
            match change {
                StoreChange::Key(change) => self.change(change)?,
                StoreChange::Settings(change) => self.change_settings(change)?,
            }
            version = self.noted(note);
        }
        Ok(version)
    }

    fn change(&mut self, change: &KeyChange) -> Result<(), StoreError> {
        match change {
            KeyChange::Insert(record) if self.keys.contains_key(&*record.id) => Err(StoreError::TakenId),
            KeyChange::Insert(record) => self.put(record, 1),
            KeyChange::Replace(record) => match self.keys.get(&*record.id).map(|held| held.revision) {
                None => Err(StoreError::NotFound),
                Some(revision) if revision != record.revision => Err(StoreError::Stale),
                Some(revision) => self.put(record, revision + 1),
            },
            KeyChange::Remove(id) => {
                self.damaged.remove(&**id);
                self.keys.remove(&**id).map(drop).ok_or(StoreError::NotFound)
            }
        }
    }

    fn change_settings(&mut self, change: &SettingsChange) -> Result<(), StoreError> {
        let (kind, name) = change.object();
        let place = (kind, name.to_string());
        let held = self.settings.get(&place).map(|record| record.revision);
        let record = match (change, held) {
            (SettingsChange::Insert(_), Some(_)) => return Err(StoreError::TakenId),
            (SettingsChange::Insert(record), None) => SettingsRecord { revision: 1, ..record.clone() },
            (SettingsChange::Replace(_) | SettingsChange::Remove { .. }, None) => return Err(StoreError::NotFound),
            (SettingsChange::Replace(record), Some(revision)) if revision != record.revision => {
                return Err(StoreError::Stale);
            }
            (SettingsChange::Replace(record), Some(revision)) => {
                SettingsRecord { revision: revision + 1, ..record.clone() }
            }
            (SettingsChange::Remove { .. }, Some(_)) => {
                self.damaged.remove(&place.1);
                self.settings.remove(&place);
                return Ok(());
            }
        };
        self.sealed.remove(&place.1);
        self.settings.insert(place, record);
        Ok(())
    }

    fn noted(&mut self, note: &AuditEntry) -> Version {
        self.version += 1;
        self.audit.push(AuditRecord {
            number: self.version,
            at: note.at,
            actor: note.actor.to_string(),
            action: note.action.to_string(),
            object: note.object.to_string(),
            before: note.before.clone(),
            after: note.after.clone(),
        });
        Version(self.version)
    }

    fn put(&mut self, record: &KeyRecord, revision: i64) -> Result<(), StoreError> {
        let taken: Vec<KeyDigest> = self.keys.values().filter(|held| held.id != record.id).flat_map(digests).collect();
        if digests(record).any(|digest| taken.contains(&digest)) {
            return Err(StoreError::TakenKey);
        }
        self.keys.insert(record.id.to_string(), KeyRecord { revision, ..record.clone() });
        Ok(())
    }
}

fn digests(record: &KeyRecord) -> impl Iterator<Item = KeyDigest> {
    std::iter::once(record.digest).chain(record.previous.map(|previous| previous.digest))
}

impl KeyRepository for FakeStore {
    fn key<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<KeyRecord>> {
        Box::pin(async move {
            self.check()?;
            if self.held.lock().damaged.contains(id) {
                let problem = DAMAGE.to_owned();
                return Err(StoreError::Unreadable { id: id.to_owned(), problem });
            }
            let found = self.record(id);
            let meeting = self.meeting.lock().clone();
            if let Some(meeting) = meeting {
                meeting.wait().await;
                *self.meeting.lock() = None;
            }
            Ok(found)
        })
    }

    fn keys<'a>(&'a self, after: Option<&'a str>, limit: u32) -> StoreFuture<'a, Vec<KeyRecord>> {
        Box::pin(async move {
            self.check()?;
            let held = self.held.lock();
            let sound = held.keys.values().filter(|record| !held.damaged.contains(&*record.id));
            let behind = sound.filter(|record| after.is_none_or(|after| &*record.id > after));
            Ok(behind.take(limit as usize).cloned().collect())
        })
    }

    fn write<'a>(&'a self, change: &'a KeyChange, note: &'a AuditEntry) -> StoreFuture<'a, Version> {
        Box::pin(async move {
            self.check_write()?;
            let mut held = self.held.lock();
            held.change(change)?;
            Ok(held.noted(note))
        })
    }

    fn audit(&self, before: Option<i64>, limit: u32) -> StoreFuture<'_, Vec<AuditRecord>> {
        Box::pin(async move {
            self.check()?;
            let held = self.held.lock();
            let wanted = held.audit.iter().rev().filter(|note| before.is_none_or(|before| note.number < before));
            Ok(wanted.take(limit as usize).cloned().collect())
        })
    }
}

impl SettingsRepository for FakeStore {
    fn find<'a>(&'a self, kind: SettingsKind, name: &'a str) -> StoreFuture<'a, Option<SettingsRecord>> {
        Box::pin(async move {
            self.check()?;
            let unreadable =
                |problem: &str| StoreError::Unreadable { id: name.to_owned(), problem: problem.to_owned() };
            self.held.lock().check_settings(name).map_err(unreadable)?;
            let found = self.settings(kind, name);
            let meeting = self.meeting.lock().clone();
            if let Some(meeting) = meeting {
                meeting.wait().await;
                *self.meeting.lock() = None;
            }
            Ok(found)
        })
    }

    fn write_all<'a>(&'a self, changes: &'a [NotedChange]) -> StoreFuture<'a, Version> {
        Box::pin(async move {
            self.check_write()?;
            self.held.lock().write_all(changes)
        })
    }

    fn write_all_at<'a>(&'a self, tried_at: &'a Position, changes: &'a [NotedChange]) -> StoreFuture<'a, Version> {
        Box::pin(async move {
            self.check_write()?;
            let mut held = self.held.lock();
            if held.version == tried_at.version.0 { held.write_all(changes) } else { Err(StoreError::Stale) }
        })
    }

    fn find_without_secrets<'a>(
        &'a self,
        kind: SettingsKind,
        name: &'a str,
    ) -> StoreFuture<'a, Option<SettingsRecord>> {
        Box::pin(async move {
            self.check()?;
            if self.is_down_for_the_rest.load(Ordering::Relaxed) {
                return Err(StoreError::Unavailable { source: "secret-host:5432 reset".into() });
            }
            if self.held.lock().damaged.contains(name) {
                return Err(StoreError::Unreadable { id: name.to_owned(), problem: DAMAGE.to_owned() });
            }
            Ok(self.settings(kind, name).map(|record| SettingsRecord { secrets: None, ..record }))
        })
    }
}
