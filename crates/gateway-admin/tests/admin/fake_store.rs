//! A store in memory that keeps the contract of [`KeyRepository`], and fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use gateway_keystore::{
    AuditEntry, AuditRecord, KeyChange, KeyRecord, KeyRepository, StoreError, StoreFuture, Version,
};
use gateway_secret::KeyDigest;
use parking_lot::Mutex;
use tokio::sync::Barrier;

#[derive(Default)]
pub(crate) struct FakeStore {
    held: Mutex<Held>,
    pub(crate) is_down: AtomicBool,
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
    /// Those of the keys whose rows cannot be read.
    damaged: BTreeSet<String>,
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

    /// How many writes there were.
    pub(crate) fn writes(&self) -> usize {
        self.held.lock().audit.len()
    }

    pub(crate) fn last_note(&self) -> AuditRecord {
        self.held.lock().audit.last().cloned().expect("a note")
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable { source: "secret-host:5432 refused".into() });
        }
        Ok(())
    }
}

impl Held {
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
                let problem = "rate_limit: has to be a JSON object".to_owned();
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
            self.check()?;
            if self.is_full.load(Ordering::Relaxed) {
                return Err(StoreError::Refused { source: "database or disk is full".into() });
            }
            let lose = |left: u32| left.checked_sub(1);
            if self.stale_writes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lose).is_ok() {
                return Err(StoreError::Stale);
            }
            let mut held = self.held.lock();
            held.change(change)?;
            held.version += 1;
            let note = AuditRecord {
                number: held.version,
                at: note.at,
                actor: note.actor.to_string(),
                action: note.action.to_string(),
                object: note.object.to_string(),
                before: note.before.clone(),
                after: note.after.clone(),
            };
            held.audit.push(note);
            Ok(Version(held.version))
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
