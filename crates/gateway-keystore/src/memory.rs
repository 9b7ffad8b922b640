//! The keys of a configuration file, held in memory.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use gateway_extension::Answer;
use gateway_secret::KeyDigest;

use crate::digest_hasher::DigestHasher;
use crate::{KeyStore, KeyStoreError, VirtualKey};

/// Keys by digest; filled once when a configuration is compiled, only read afterwards.
#[derive(Debug, Default)]
pub struct MemoryKeyStore {
    keys: HashMap<KeyDigest, Arc<VirtualKey>, BuildHasherDefault<DigestHasher>>,
}

impl MemoryKeyStore {
    /// Adds a key; one that is already there is replaced and returned.
    pub fn insert(&mut self, digest: KeyDigest, key: VirtualKey) -> Option<Arc<VirtualKey>> {
        self.keys.insert(digest, Arc::new(key))
    }

    /// The key with this digest.
    pub fn lookup(&self, digest: &KeyDigest) -> Option<&Arc<VirtualKey>> {
        self.keys.get(digest)
    }
}

impl KeyStore for MemoryKeyStore {
    fn find<'a>(&'a self, digest: &KeyDigest) -> Answer<'a, Result<Option<Arc<VirtualKey>>, KeyStoreError>> {
        Answer::now(Ok(self.lookup(digest).cloned()))
    }
}
