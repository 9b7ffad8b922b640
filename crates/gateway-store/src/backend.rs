//! What a backend is: everything that the rest of the gateway asks of a store, and its schema.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gateway_keystore::{KeyFeed, KeyRepository, Ledger, SettingsRepository, StoreFuture, UsageLedger};

use crate::Vault;
use crate::sql_store::{Dialect, SqlStore};

/// A store that can keep everything.
pub trait Backend: KeyRepository + SettingsRepository + KeyFeed + Ledger + UsageLedger + Schema + Access {}

impl<T: KeyRepository + SettingsRepository + KeyFeed + Ledger + UsageLedger + Schema + Access> Backend for T {}

/// The way into a store.
pub trait Access: Send + Sync {
    /// Counts how often the database was taken away or replaced by another since this began, as a file may be. What was read
    /// in one generation says nothing about the next.
    fn generation(&self) -> u64;

    /// Whether the store refused the last write, for want of room on its disk perhaps, though it can be reached.
    fn is_refusing(&self) -> bool;

    /// Where the store is, for people and for telling it from another while it cannot be asked who it is. Holds no secret.
    fn place(&self) -> String;

    /// What it seals secrets with; none if it does not.
    fn vault(&self) -> Option<Arc<Vault>>;

    /// Closes all connections, within a few seconds; who asks the store for something afterwards makes new ones. An SQLite
    /// file that nobody else has open is then whole without the log beside it.
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<D: Dialect> Access for SqlStore<D> {
    fn generation(&self) -> u64 {
        self.connections().generation()
    }

    fn is_refusing(&self) -> bool {
        Self::is_refusing(self)
    }

    fn place(&self) -> String {
        self.dialect().place()
    }

    fn vault(&self) -> Option<Arc<Vault>> {
        self.sealing().vault()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.connections().close()
    }
}

/// The tables of a store, which change from release to release by numbered migrations.
///
/// A migration is made under a lock, so that of several nodes that start at once one makes it while the others wait, and in
/// a transaction, so that one that fails leaves everything as it was.
pub trait Schema: Send + Sync {
    /// The number of the last migration that was made; 0 for an empty store. Only reads, and waits for nobody who migrates.
    fn version(&self) -> StoreFuture<'_, i64>;

    /// Makes every migration that is missing, and returns the number of the last one. A store that a later version of the
    /// program has worked on is left alone: [`gateway_keystore::StoreError::TooNew`].
    fn migrate_up(&self) -> StoreFuture<'_, i64>;

    /// Undoes the last migration, with the data that only it has a place for, and returns the number of the one before.
    fn migrate_down(&self) -> StoreFuture<'_, i64>;

    /// The number of the last migration that this program knows.
    fn known_version(&self) -> i64;
}

/// Why a store cannot be had at all, whether it can be reached or not: what was configured makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct OpenError {
    /// What is wrong and what to do. Holds no secret.
    pub problem: String,
}
