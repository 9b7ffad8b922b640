//! A store's keys, held in memory: calls are answered from here, whatever becomes of the store.
//!
//! Calls read a map that is never locked; whoever brings news of the store holds a lock of its own beside it, which keeps
//! track of what belongs to which identifier. News is put into the map key by key, the new before the old goes, so that
//! there is no moment in which a good key is unknown.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Weak};

use gateway_call::ModelPattern;
use gateway_extension::Answer;
use gateway_ratelimit::{LimitError, Limits};
use gateway_secret::KeyDigest;
use parking_lot::Mutex;

use crate::digest_hasher::DigestHasher;
use crate::{Changes, KeyRecord, KeyStore, KeyStoreError, VirtualKey};

/// The copy of a store's keys that calls see.
///
/// It begins empty and knows that: until everything has been read once ([`KeyDirectory::is_loaded`]), and whenever the
/// store cannot be reached, a key that it does not have may exist all the same.
#[derive(Default)]
pub struct KeyDirectory {
    keys: papaya::HashMap<KeyDigest, Entry, BuildHasherDefault<DigestHasher>>,
    index: Mutex<Index>,
    is_loaded: AtomicBool,
    is_reachable: AtomicBool,
}

/// A key as calls find it. Its identifier is its account.
///
/// The map frees what was taken out of it when it suits the map, which may be never, so it does not own the keys: what is
/// ascribed to a key's name ends when the key does.
struct Entry {
    key: Weak<VirtualKey>,
    /// Whether it was presented since [`KeyDirectory::take_used`] was last called.
    is_used: AtomicBool,
}

/// What those need to know who bring the news. Owns the keys: one is let go of here only when calls no longer find it in the map.
#[derive(Default)]
struct Index {
    keys: HashMap<Arc<str>, Keys>,
    limits: Interned<Limits>,
    models: Interned<[ModelPattern]>,
}

/// The keys of an identifier.
struct Keys {
    current: Held,
    /// Few have one, so it is worth no place of its own.
    retired: Option<Box<Held>>,
}

/// A key, and the digest under which it is found.
struct Held {
    digest: KeyDigest,
    key: Arc<VirtualKey>,
}

impl KeyDirectory {
    /// Takes over what has changed in the store, and returns the keys that cannot be used because their limits make no
    /// sense, made by hand perhaps: those, and the unreadable ones, are unknown from now on.
    ///
    /// Calls have to come in the order of the versions.
    pub fn apply(&self, changes: &Changes) -> Vec<(Arc<str>, LimitError)> {
        let mut index = self.index.lock();
        if changes.is_everything {
            // To make room for a hundred thousand keys bit by bit takes as long as to put them in.
            let more = changes.keys.len().saturating_sub(index.keys.len());
            self.keys.pin().reserve(more);
            index.keys.reserve(more);
        }
        let mut refused = Vec::new();
        for record in &changes.keys {
            if let Err(error) = self.put(&mut index, record) {
                self.remove(&mut index, &record.id);
                refused.push((Arc::clone(&record.id), error));
            }
        }
        for id in &changes.removed {
            self.remove(&mut index, id);
        }
        for (id, _) in &changes.unreadable {
            self.remove(&mut index, id);
        }
        if changes.is_everything {
            // Identifiers are unique: as many as there are records are those of the records.
            if index.keys.len() + refused.len() > changes.keys.len() {
                self.keep_only(&mut index, &changes.keys);
            }
            // After the keys, and read before them: whoever sees this sees every key.
            self.is_loaded.store(true, Ordering::Release);
        }
        refused
    }

    /// Notes whether the store can be reached. When it can be again, what has changed meanwhile has to be applied first.
    pub fn set_reachable(&self, is_reachable: bool) {
        self.is_reachable.store(is_reachable, Ordering::Release);
    }

    /// Whether the store can be reached, as far as is known.
    pub fn is_reachable(&self) -> bool {
        self.is_reachable.load(Ordering::Acquire)
    }

    /// Whether everything in the store has been read once.
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// How many keys there are, a key and the one that it replaced counted as one.
    pub fn len(&self) -> usize {
        self.index.lock().keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is a key whose tokens matter, because they are limited or paid for. Looks at keys until it finds one.
    pub fn counts_tokens(&self) -> bool {
        self.index.lock().keys.values().flat_map(Keys::all).any(|held| held.key.limits.counts_tokens())
    }

    /// The identifiers of the keys that were presented since the last time, in order. Looks at every key.
    pub fn take_used(&self) -> Vec<Arc<str>> {
        let keys = self.keys.pin();
        let used = keys.values().filter(|entry| {
            // Most are not, and reading does not take the line away from those who look keys up.
            entry.is_used.load(Ordering::Relaxed) && entry.is_used.swap(false, Ordering::Relaxed)
        });
        let used = used.filter_map(|entry| entry.key.upgrade());
        let mut ids: Vec<_> = used.map(|key| Arc::clone(&key.account)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn put(&self, index: &mut Index, record: &KeyRecord) -> Result<(), LimitError> {
        let mut held = record.virtual_keys()?.into_iter().map(|(digest, mut key)| {
            key.limits = index.limits.share(key.limits);
            key.allowed_models = index.models.share(key.allowed_models);
            self.hold(digest, key)
        });
        let Some(current) = held.next() else { return Ok(()) };
        let keys = Keys { current, retired: held.next().map(Box::new) };
        let before = index.keys.insert(Arc::clone(&record.id), keys);
        let is_gone = |digest: &KeyDigest| {
            *digest != record.digest && record.previous.is_none_or(|previous| previous.digest != *digest)
        };
        let before = before.iter().flat_map(Keys::all).filter(|held| is_gone(&held.digest));
        before.for_each(|held| self.forget(&held.digest, &record.id));
        Ok(())
    }

    /// Lets calls find a key.
    fn hold(&self, digest: KeyDigest, key: VirtualKey) -> Held {
        let (key, keys) = (Arc::new(key), self.keys.pin());
        let is_used = keys.get(&digest).is_some_and(|entry| entry.is_used.load(Ordering::Relaxed));
        keys.insert(digest, Entry { key: Arc::downgrade(&key), is_used: AtomicBool::new(is_used) });
        Held { digest, key }
    }

    fn remove(&self, index: &mut Index, id: &str) {
        if let Some(keys) = index.keys.remove(id) {
            keys.all().for_each(|held| self.forget(&held.digest, id));
        }
    }

    /// Forgets a digest of an identifier, unless it has become another's.
    fn forget(&self, digest: &KeyDigest, id: &str) {
        let is_its = |key: Arc<VirtualKey>| &*key.account == id;
        let _ = self.keys.pin().remove_if(digest, |_, entry| entry.key.upgrade().is_none_or(is_its));
    }

    fn keep_only(&self, index: &mut Index, records: &[KeyRecord]) {
        let present: HashSet<&str> = records.iter().map(|record| &*record.id).collect();
        let gone: Vec<_> = index.keys.keys().filter(|id| !present.contains(&***id)).cloned().collect();
        for id in gone {
            self.remove(index, &id);
        }
    }
}

impl KeyStore for KeyDirectory {
    fn find<'a>(&'a self, digest: &KeyDigest) -> Answer<'a, Result<Option<Arc<VirtualKey>>, KeyStoreError>> {
        // Before the look-up: a directory that fills up between the two must not deny what it holds by now.
        let can_deny = self.is_loaded() && self.is_reachable();
        let keys = self.keys.pin();
        let mut found = keys.get(digest);
        while let Some(entry) = found {
            let Some(key) = entry.key.upgrade() else {
                // It was let go of since it was found, so something else is found by now, or nothing: with the fence whoever sees
                // that the key is gone sees what was done to the map before.
                fence(Ordering::Acquire);
                found = keys.get(digest).filter(|now| !Weak::ptr_eq(&now.key, &entry.key));
                continue;
            };
            // Written once in a while, so that callers of one key do not take its cache line from each other.
            if !entry.is_used.load(Ordering::Relaxed) {
                entry.is_used.store(true, Ordering::Relaxed);
            }
            return Answer::now(Ok(Some(key)));
        }
        let denial = if can_deny { Ok(None) } else { Err(KeyStoreError::Unavailable { source: NotKnown.into() }) };
        Answer::now(denial)
    }
}

impl fmt::Debug for KeyDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDirectory")
            .field("len", &self.len())
            .field("is_loaded", &self.is_loaded())
            .field("is_reachable", &self.is_reachable())
            .finish_non_exhaustive()
    }
}

impl Keys {
    fn all(&self) -> impl Iterator<Item = &Held> {
        std::iter::once(&self.current).chain(self.retired.as_deref())
    }
}

/// The key is not among those held here, and the store cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the store has not been read or cannot be reached, and the key is not among those that are held in memory")]
struct NotKnown;

/// Values that many keys have in common, held once.
struct Interned<T: ?Sized> {
    known: Vec<Arc<T>>,
}

impl<T: ?Sized + PartialEq> Interned<T> {
    /// How many are looked through. Keys have the default or one of a few plans; whoever gives every key limits of its own
    /// pays for them.
    const MOST: usize = 32;

    /// The same value, from among those that are known where it is.
    fn share(&mut self, value: Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.iter().find(|known| **known == value) {
            return Arc::clone(known);
        }
        if self.known.len() < Self::MOST {
            self.known.push(Arc::clone(&value));
        }
        value
    }
}

impl<T: ?Sized> Default for Interned<T> {
    fn default() -> Self {
        Self { known: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
