//! Whose key is this, and what may it do.
//!
//! A caller presents a key; the gateway takes its digest and asks a [`KeyStore`] for the [`VirtualKey`] behind it. The
//! key itself never travels further than that digest. The stores built in here answer from memory: [`MemoryKeyStore`]
//! holds the keys of a file, [`KeyDirectory`] a copy of those of a durable store, and [`LayeredKeyStore`] asks several.
//!
//! A durable store is a backend of its own, behind the traits [`KeyRepository`], [`KeyFeed`] and [`Ledger`]; what it keeps
//! of a key is a [`KeyRecord`]. [`MintedKey`] is a key that the gateway makes. The same backend holds providers and models, as
//! texts that mean nothing here: [`SettingsRepository`].
//!
//! This crate reads no clock, makes no randomness and does no I/O; it counts nothing and limits nothing.
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
//! let key = VirtualKey { allowed_models: [ModelPattern::new("gpt-*")].into(), ..VirtualKey::unlimited("example") };
//! keys.insert(digest, key);
//! let key = keys.lookup(&digest).map(Arc::as_ref);
//! assert!(key.is_some_and(|key| key.allows("gpt-4o") && !key.allows("o3")));
//! ```

mod audit;
mod digest_hasher;
mod directory;
mod layered;
mod memory;
mod minted;
mod record;
mod repository;
mod settings;
mod store;
mod usage;
mod virtual_key;

pub use audit::{Action, Actor, AuditEntry, AuditRecord};
pub use directory::KeyDirectory;
pub use layered::LayeredKeyStore;
pub use memory::MemoryKeyStore;
pub use minted::{MintedKey, is_weak, key_id, preview};
pub use record::{KeyRecord, RetiredKey};
pub use repository::{Changes, KeyChange, KeyFeed, KeyRepository, Ledger, Position, StoreError, StoreFuture, Version};
pub use settings::{
    NotedChange, SettingsChange, SettingsKind, SettingsRecord, SettingsRepository, StoreChange, StoredSettings,
    UnreadableSettings,
};
pub use store::{KeyStore, KeyStoreError};
pub use usage::{
    UsageBatch, UsageFlush, UsageGroup, UsageGrouping, UsageLedger, UsagePage, UsageQuery, UsageSlot, UsageSpan,
    UsageSums,
};
pub use virtual_key::VirtualKey;
