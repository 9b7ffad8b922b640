//! Providers and models that a store holds: parts of the configuration that administrators change while the gateway runs.
//!
//! To the store they are texts with a name. What they mean is for the configuration to say, which reads them like the
//! entries of a file.

use std::fmt;
use std::sync::Arc;

use gateway_secret::Secret;
use jiff::Timestamp;

use crate::{AuditEntry, KeyChange, Position, StoreFuture, Version};

/// What kind of thing an entry of the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettingsKind {
    /// An upstream account.
    Provider,
    /// What a public model name means.
    Model,
}

impl SettingsKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Provider, Self::Model];

    /// As it is written: `provider` or `model`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
        }
    }
}

impl fmt::Display for SettingsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One provider or model as a store keeps it. `Debug` shows no settings: in a row made by hand, credentials may stand among
/// them.
#[derive(Clone)]
pub struct SettingsRecord {
    /// Which of both.
    pub kind: SettingsKind,
    /// Its name, unique among those of its kind.
    pub name: Arc<str>,
    /// Its settings but for the name, as a JSON object with the keys that the entry would have in a file.
    pub settings: String,
    /// The members of that object that nobody may read, as another object: credentials, and headers, which may hold some. One
    /// that stands in both counts as it is here. None if there are none.
    pub secrets: Option<Secret>,
    /// Counts its changes, from 1; the store does.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl fmt::Debug for SettingsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsRecord")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// All providers and models of a store, as they were at one moment.
#[derive(Debug, Clone, Default)]
pub struct StoredSettings {
    /// In the order of their names.
    pub records: Vec<SettingsRecord>,
    /// Rows that cannot be read, made by hand perhaps, or sealed with a key that is not there.
    pub unreadable: Vec<UnreadableSettings>,
}

/// A row that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableSettings {
    /// What it is.
    pub kind: SettingsKind,
    /// Its name, as far as it has one.
    pub name: String,
    /// What is wrong with it. Holds no secret.
    pub problem: String,
}

/// A change to a provider or a model.
#[derive(Debug, Clone)]
pub enum SettingsChange {
    /// A new one. Refused if its name is taken among those of its kind.
    Insert(SettingsRecord),
    /// Another state of one. `revision` is that of the state which was changed; the store counts on from it.
    Replace(SettingsRecord),
    /// The end of one.
    Remove {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        name: Arc<str>,
    },
}

impl SettingsChange {
    /// What is changed.
    pub fn object(&self) -> (SettingsKind, &Arc<str>) {
        match self {
            Self::Insert(record) | Self::Replace(record) => (record.kind, &record.name),
            Self::Remove { kind, name } => (*kind, name),
        }
    }
}

/// A change to anything in a store, with its line in the audit log.
#[derive(Debug, Clone)]
pub struct NotedChange {
    /// The change.
    pub change: StoreChange,
    /// What is noted of it.
    pub note: AuditEntry,
}

/// A change to anything in a store.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are few of them, for as long as a write takes")]
pub enum StoreChange {
    /// To a key.
    Key(KeyChange),
    /// To a provider or a model.
    Settings(SettingsChange),
}

/// Reads and writes providers and models.
pub trait SettingsRepository: Send + Sync {
    /// The one of this name. One that is there and cannot be read is [`crate::StoreError::Unreadable`].
    fn find<'a>(&'a self, kind: SettingsKind, name: &'a str) -> StoreFuture<'a, Option<SettingsRecord>>;

    /// The same without its secrets, whatever they are like: for who gives it others.
    fn find_without_secrets<'a>(&'a self, kind: SettingsKind, name: &'a str)
    -> StoreFuture<'a, Option<SettingsRecord>>;

    /// Makes all of the changes, in their order, or none of them if one cannot be made. When this returns, they are on disk.
    fn write_all<'a>(&'a self, changes: &'a [NotedChange]) -> StoreFuture<'a, Version>;

    /// The same if every provider and model is as it was at a position; [`crate::StoreError::Stale`] if one is not, or may not
    /// be. For who has tried the changes on what the store held then, and can try them again on what it holds now.
    fn write_all_at<'a>(&'a self, tried_at: &'a Position, changes: &'a [NotedChange]) -> StoreFuture<'a, Version>;
}
