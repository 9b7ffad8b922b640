//! The admin API: who administers the gateway reads and changes its keys here.
//!
//! [`AdminService`] is a hyper service over what a store can do with keys ([`gateway_keystore::KeyRepository`]). It lets
//! nobody in without the admin key, and says so before it says anything else. What it does with keys are the methods of
//! [`MasterKeys`], which know nothing of HTTP, so that the command line does the same with the same rules.
//!
//! This crate never serves calls of callers, never opens a socket, and never logs or keeps a key.
//!
//! ```
//! # use std::sync::Arc;
//! # use gateway_admin::{AdminService, MasterKeys};
//! # use gateway_keystore::{Actor, KeyRepository};
//! # use gateway_secret::{KeyDigester, Secret};
//! fn service(store: Arc<dyn KeyRepository>, admin_key: &Secret) -> AdminService {
//!     let keys = MasterKeys::new(store, KeyDigester::default(), Actor::Admin);
//!     AdminService::new(Some(admin_key), keys)
//! }
//! assert!(AdminService::handles("/admin/v1/master-keys") && !AdminService::handles("/v1/models"));
//! ```

mod body;
mod endpoint;
mod error;
mod json;
mod master_keys;
mod query;
mod reply;
mod service;
mod system;

pub use error::Invalid;
pub use master_keys::{
    Change, CreateKey, Cursor, FileKey, Issued, KeyError, KeyPage, KeySource, KeyView, MasterKeys, RotateKey,
    UpdateKey, UpdateLimits, Visibility,
};
pub use service::AdminService;
pub use system::{Clock, Rng, System};
