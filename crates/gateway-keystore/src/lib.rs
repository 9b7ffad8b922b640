//! Whose key is this, and what may it do.
//!
//! A caller presents a key; the gateway takes its digest and asks a [`KeyStore`] for the [`VirtualKey`] behind it. The
//! key itself never travels further than that digest. The store built in here, [`MemoryKeyStore`], answers from
//! memory.
//!
//! This crate never sees a key in clear beyond [`MemoryKeyStore::insert`], counts nothing and limits nothing.
//!
//! ```
//! use std::sync::Arc;
//! use gateway_call::ModelPattern;
//! use gateway_keystore::{MemoryKeyStore, VirtualKey};
//! use gateway_secret::KeyDigester;
//!
//! let mut keys = MemoryKeyStore::default();
//! let digester = KeyDigester::default();
//! let digest = digester.digest(b"sk-example");
//! let key = VirtualKey { allowed_models: vec![ModelPattern::new("gpt-*")], ..VirtualKey::unlimited("example") };
//! keys.insert(digest, key);
//! let key = keys.lookup(&digest).map(Arc::as_ref);
//! assert!(key.is_some_and(|key| key.allows("gpt-4o") && !key.allows("o3")));
//! ```

mod directory;
mod memory;
mod minted;
mod record;
mod repository;
mod store;
mod virtual_key;

pub use directory::KeyDirectory;
pub use memory::MemoryKeyStore;
pub use minted::MintedKey;
pub use record::{KeyRecord, RetiredKey};
pub use repository::{
    AuditEntry, AuditRecord, Changes, KeyChange, KeyFeed, KeyRepository, Ledger, Pending, Spent, StoreError, Version,
};
pub use store::{KeyStore, KeyStoreError};
pub use virtual_key::VirtualKey;
