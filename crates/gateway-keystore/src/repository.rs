//! What a durable store can do with keys.
//!
//! Three questions, asked by three parts of the gateway: the admin API reads and writes ([`KeyRepository`]), the copy in
//! memory follows ([`KeyFeed`]), and what is spent is kept ([`Ledger`]). A backend answers all of them.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateway_ratelimit::Spend;
use jiff::Timestamp;

use crate::{AuditEntry, AuditRecord, KeyRecord, StoredSettings};

/// A future that a backend returns; one box, off the path of calls.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Counts the changes of everything in a store, over all nodes. Later changes have higher numbers, and become visible in
/// that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub i64);

/// A state that a store was in.
///
/// The version alone does not tell it: a store that was put back to an earlier state, from a backup perhaps, and has changed
/// since comes to versions that others have seen it at before, and another store in its place has versions of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// How many changes there had been.
    pub version: Version,
    /// The identifier of the store, which is random.
    pub store: Arc<str>,
    /// The token of the change that had this version, which is random; empty if there is none.
    pub token: Arc<str>,
}

/// Reads and writes keys, each write with a line in the audit log, both or neither.
pub trait KeyRepository: Send + Sync {
    /// The key of this identifier. One that is there and makes no sense is [`StoreError::Unreadable`].
    fn key<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<KeyRecord>>;

    /// Keys in the order of their identifiers, from the first one after `after`; at most `limit`. Those that make no sense
    /// are passed over.
    fn keys<'a>(&'a self, after: Option<&'a str>, limit: u32) -> StoreFuture<'a, Vec<KeyRecord>>;

    /// Makes a change, if it can be made, and notes it. When this returns, the change is on disk.
    fn write<'a>(&'a self, change: &'a KeyChange, note: &'a AuditEntry) -> StoreFuture<'a, Version>;

    /// What was noted, the latest first, from the first entry before the number `before`; at most `limit`.
    fn audit(&self, before: Option<i64>, limit: u32) -> StoreFuture<'_, Vec<AuditRecord>>;
}

/// A change to a key.
#[derive(Debug, Clone)]
pub enum KeyChange {
    /// A new one. Refused if its identifier or one of its digests is taken.
    Insert(KeyRecord),
    /// Another state of one. `revision` is that of the state which was changed; the store counts on from it.
    Replace(KeyRecord),
    /// The end of the one with this identifier.
    Remove(Arc<str>),
}

/// Tells what has changed.
pub trait KeyFeed: Send + Sync {
    /// Everything if `since` is none, is too long ago or is no state that this store was in before; otherwise what has changed
    /// after it.
    fn changes<'a>(&'a self, since: Option<&'a Position>) -> StoreFuture<'a, Changes>;

    /// Returns when something may have changed, as far as the backend can tell. One that cannot returns when it is time to
    /// look again, which is within a second; where it can, it returns at least every five seconds all the same.
    fn changed(&self) -> StoreFuture<'_, ()>;
}

/// What has changed.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The state that they lead to.
    pub position: Position,
    /// Whether this is everything that there is, so that whatever is not among it is gone.
    pub is_everything: bool,
    /// New and changed keys.
    pub keys: Vec<KeyRecord>,
    /// Identifiers of keys that are gone.
    pub removed: Vec<Arc<str>>,
    /// Rows that cannot be read, made by hand perhaps: the identifier and what is wrong. They are left out.
    pub unreadable: Vec<(String, String)>,
    /// All providers and models if any of them changed; none if they are as they were.
    pub settings: Option<StoredSettings>,
}

/// Keeps what keys have spent and when they were used.
pub trait Ledger: Send + Sync {
    /// Adds what was spent since the last time and returns the new totals, all nodes' together.
    fn spend<'a>(&'a self, spent: &'a [Spend]) -> StoreFuture<'a, Vec<Spend>>;

    /// Every total of the windows that a moment lies in, and of later ones.
    fn totals(&self, at: Timestamp) -> StoreFuture<'_, Vec<Spend>>;

    /// Notes when keys were last used.
    fn touch<'a>(&'a self, used: &'a [(Arc<str>, Timestamp)]) -> StoreFuture<'a, ()>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, or broke off. Whether a write was made is not known.
    #[error("the store cannot be reached")]
    Unavailable {
        /// Its own account, for the log.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It can be reached, but says that it cannot do this now: its disk is full, it may only be read, somebody else holds a
    /// lock, or it took too long. Nothing was written.
    #[error("the store did not do what it was asked")]
    Refused {
        /// Its own account, for the log.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Others are doing the same, which one at a time may, and it was not this one's turn in time. Nothing was done.
    #[error("others are doing the same, and it was not this one's turn in time")]
    Busy,
    /// The row of this one entry makes no sense; it was written by hand perhaps. It can still be removed.
    #[error("`{id}` cannot be read: {problem}")]
    Unreadable {
        /// Its identifier or name.
        id: String,
        /// Which column it is, and what is wrong there.
        problem: String,
    },
    /// The identifier, or the name, is taken.
    #[error("the id is taken")]
    TakenId,
    /// Another key is the same.
    #[error("another key has the same value")]
    TakenKey,
    /// There is no such entry.
    #[error("there is no entry of this id")]
    NotFound,
    /// It was changed since it was read; or a provider or a model has changed since the position that the change was checked
    /// at, or may have, because the store was not at that position.
    #[error("it was changed by somebody else in the meantime")]
    Stale,
    /// The store was made by a later version of this program.
    #[error(
        "the store has version {found}, this program knows version {known}; use a program at least as new as the store"
    )]
    TooNew {
        /// The store's.
        found: i64,
        /// The program's.
        known: i64,
    },
    /// What the store holds makes no sense.
    #[error("the store is damaged: {problem}")]
    Damaged {
        /// What is wrong.
        problem: String,
    },
}

impl StoreError {
    /// The error with its cause, for people. Drivers say themselves what they were told, so one cause is enough.
    pub fn with_cause(&self) -> String {
        match self.source() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}
