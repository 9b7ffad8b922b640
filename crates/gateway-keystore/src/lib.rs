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
//! use gateway_secret::{KeyDigest, Secret};
//!
//! let mut keys = MemoryKeyStore::default();
//! keys.insert(
//!     &Secret::from("sk-example"),
//!     VirtualKey { name: "example".into(), allowed_models: vec![ModelPattern::new("gpt-*")], is_enabled: true },
//! );
//! let key = keys.lookup(&KeyDigest::of(b"sk-example")).map(Arc::as_ref);
//! assert!(key.is_some_and(|key| key.allows("gpt-4o") && !key.allows("o3")));
//! ```

mod memory;
mod store;
mod virtual_key;

pub use memory::MemoryKeyStore;
pub use store::{KeyStore, KeyStoreError};
pub use virtual_key::VirtualKey;
