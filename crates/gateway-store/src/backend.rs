//! What a backend is: everything that the rest of the gateway asks of a store, and its schema.

use gateway_keystore::{KeyFeed, KeyRepository, Ledger, Pending};

/// A store that can keep everything.
pub trait Backend: KeyRepository + KeyFeed + Ledger + Schema {}

impl<T: KeyRepository + KeyFeed + Ledger + Schema> Backend for T {}

/// The tables of a store, which change from release to release, in numbered steps.
///
/// A step is made under a lock, so that of several nodes that start at once one makes it while the others wait, and in a
/// transaction, so that one that fails leaves everything as it was.
pub trait Schema: Send + Sync {
    /// The number of the last step that was made; 0 for an empty store.
    fn version(&self) -> Pending<'_, i64>;

    /// Makes every step that is missing, and returns the number of the last one. A store that a later version of the
    /// program has worked on is left alone: [`gateway_keystore::StoreError::TooNew`].
    fn migrate_up(&self) -> Pending<'_, i64>;

    /// Takes the last step back, with the data that only it has a place for, and returns the number of the one before.
    fn migrate_down(&self) -> Pending<'_, i64>;

    /// The number of the last step that this program knows.
    fn known_version(&self) -> i64;
}

/// Why a store cannot be had at all, whether it can be reached or not: what was configured makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct OpenError {
    /// What is wrong and what to do. Holds no secret.
    pub problem: String,
}
