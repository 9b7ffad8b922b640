//! The durable store: what outlives the process.
//!
//! [`SqliteStore`] keeps keys, spending and an audit log in one file. The SQL, the rows and the transactions are those of
//! [`SqlStore`], which every database shares; what differs between databases is a [`Dialect`]. [`Follower`] keeps the
//! [`gateway_keystore::KeyDirectory`] that calls are answered from in step with a store, whatever becomes of the store.
//!
//! Nothing in here is on the path of a call, and no key passes through it in clear.

mod backend;
mod connections;
mod driver;
mod follow;
mod hex;
mod json;
mod snapshot;
mod sql_store;
mod sqlite;

pub use backend::{Access, Backend, OpenError, Schema};
pub use connections::{CONNECT_PATIENCE, Identity, Misplaced};
pub use driver::{Cells, Driver, Value};
pub use follow::{Follower, FollowerStatus, Following, LoadedFrom};
pub use sql_store::{Dialect, Driven, Failure, Fault, Migration, SqlStore, Statements};
pub use sqlite::{SqliteFile, SqliteStore};
