//! The durable store: what outlives the process.
//!
//! [`SqliteStore`] keeps keys, providers, models, spending and an audit log in one file. The SQL, the rows and the transactions are those of
//! [`SqlStore`], which every database shares; what differs between databases is a [`Dialect`]. [`Follower`] keeps the
//! [`gateway_keystore::KeyDirectory`] that calls are answered from in step with a store, whatever becomes of the store, and
//! tells a [`SettingsBook`] of providers and models.
//!
//! Nothing in here is on the path of a call, and no key of a caller passes through it in clear. The credentials of providers
//! do; what is written down of them a [`Vault`] seals.

mod backend;
mod connections;
mod driver;
mod follow;
mod hex;
mod json;
mod snapshot;
mod sql_store;
mod sqlite;
mod usage;
mod vault;

pub use backend::{Access, Backend, OpenError, Schema};
pub use connections::{CONNECT_PATIENCE, Identity, Misplaced};
pub use driver::{Cells, Driver, Value};
pub use follow::{Follower, FollowerStatus, Following, LoadedFrom, SettingsBook};
pub use sql_store::{Dialect, Driven, Failure, Fault, Migration, SqlStore, Statements};
pub use sqlite::{SqliteFile, SqliteStore};
pub use usage::{UsageBook, UsageWriter};
pub use vault::Vault;
