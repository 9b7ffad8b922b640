//! A store that comes and goes.

use std::future::pending;
use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gateway_keystore::{
    AuditEntry, AuditRecord, Changes, KeyChange, KeyFeed, KeyRecord, KeyRepository, Ledger, NotedChange, Position,
    SettingsKind, SettingsRecord, SettingsRepository, StoreError, StoreFuture, UsageBatch, UsageLedger, UsagePage,
    UsageQuery, Version,
};
use gateway_ratelimit::Spend;
use gateway_store::{Access, Backend, Schema, Vault};
use jiff::Timestamp;
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Steady,
    Away,
    TakesNoMoney,
    Silent,
    Fatal,
}

/// Another store, as long as it is there.
pub(crate) struct Unsteady {
    inner: Arc<dyn Backend>,
    mood: watch::Sender<Mood>,
}

impl Unsteady {
    pub(crate) fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner, mood: watch::Sender::new(Mood::Steady) }
    }

    pub(crate) fn go_away(&self) {
        self.mood.send_replace(Mood::Away);
    }

    pub(crate) fn come_back(&self) {
        self.mood.send_replace(Mood::Steady);
    }

    pub(crate) fn refuse_spending(&self) {
        self.mood.send_replace(Mood::TakesNoMoney);
    }

    /// Nothing is answered any more.
    pub(crate) fn be_silent(&self) {
        self.mood.send_replace(Mood::Silent);
    }

    /// Whoever asks it what has changed panics.
    pub(crate) fn be_fatal(&self) {
        self.mood.send_replace(Mood::Fatal);
    }

    fn unless<'a, T: 'a>(&self, bad: &[Mood], answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if *self.mood.borrow() == Mood::Silent {
            return Box::pin(pending());
        }
        if bad.contains(&self.mood.borrow()) {
            return Box::pin(async { Err(StoreError::Unavailable { source: io::Error::other("gone away").into() }) });
        }
        answer
    }
}

impl KeyRepository for Unsteady {
    fn key<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<KeyRecord>> {
        self.unless(&[Mood::Away], self.inner.key(id))
    }

    fn keys<'a>(&'a self, after: Option<&'a str>, limit: u32) -> StoreFuture<'a, Vec<KeyRecord>> {
        self.unless(&[Mood::Away], self.inner.keys(after, limit))
    }

    fn write<'a>(&'a self, change: &'a KeyChange, note: &'a AuditEntry) -> StoreFuture<'a, Version> {
        self.unless(&[Mood::Away], self.inner.write(change, note))
    }

    fn audit(&self, before: Option<i64>, limit: u32) -> StoreFuture<'_, Vec<AuditRecord>> {
        self.unless(&[Mood::Away], self.inner.audit(before, limit))
    }
}

impl SettingsRepository for Unsteady {
    fn find<'a>(&'a self, kind: SettingsKind, name: &'a str) -> StoreFuture<'a, Option<SettingsRecord>> {
        self.unless(&[Mood::Away], self.inner.find(kind, name))
    }

    fn find_without_secrets<'a>(
        &'a self,
        kind: SettingsKind,
        name: &'a str,
    ) -> StoreFuture<'a, Option<SettingsRecord>> {
        self.unless(&[Mood::Away], self.inner.find_without_secrets(kind, name))
    }

    fn write_all<'a>(&'a self, changes: &'a [NotedChange]) -> StoreFuture<'a, Version> {
        self.unless(&[Mood::Away], self.inner.write_all(changes))
    }

    fn write_all_at<'a>(&'a self, tried_at: &'a Position, changes: &'a [NotedChange]) -> StoreFuture<'a, Version> {
        self.unless(&[Mood::Away], self.inner.write_all_at(tried_at, changes))
    }
}

impl KeyFeed for Unsteady {
    fn changes<'a>(&'a self, since: Option<&'a Position>) -> StoreFuture<'a, Changes> {
        assert!(*self.mood.borrow() != Mood::Fatal, "a test of panics");
        self.unless(&[Mood::Away], self.inner.changes(since))
    }

    /// A connection that breaks wakes whoever listens on it.
    fn changed(&self) -> StoreFuture<'_, ()> {
        let mut mood = self.mood.subscribe();
        let changed = self.inner.changed();
        Box::pin(async move {
            tokio::select! {
                done = changed => done,
                _ = mood.changed() => Ok(()),
            }
        })
    }
}

impl Ledger for Unsteady {
    fn spend<'a>(&'a self, spent: &'a [Spend]) -> StoreFuture<'a, Vec<Spend>> {
        self.unless(&[Mood::Away, Mood::TakesNoMoney], self.inner.spend(spent))
    }

    fn totals(&self, at: Timestamp) -> StoreFuture<'_, Vec<Spend>> {
        self.unless(&[Mood::Away], self.inner.totals(at))
    }

    fn touch<'a>(&'a self, used: &'a [(Arc<str>, Timestamp)]) -> StoreFuture<'a, ()> {
        self.unless(&[Mood::Away], self.inner.touch(used))
    }
}

impl UsageLedger for Unsteady {
    fn add_usage<'a>(&'a self, batch: &'a UsageBatch) -> StoreFuture<'a, ()> {
        self.unless(&[Mood::Away], self.inner.add_usage(batch))
    }

    fn usage<'a>(&'a self, query: &'a UsageQuery) -> StoreFuture<'a, UsagePage> {
        self.unless(&[Mood::Away], self.inner.usage(query))
    }

    fn forget_usage(&self, before: Timestamp) -> StoreFuture<'_, ()> {
        self.unless(&[Mood::Away], self.inner.forget_usage(before))
    }
}

impl Schema for Unsteady {
    fn version(&self) -> StoreFuture<'_, i64> {
        self.unless(&[Mood::Away], self.inner.version())
    }

    fn migrate_up(&self) -> StoreFuture<'_, i64> {
        self.unless(&[Mood::Away], self.inner.migrate_up())
    }

    fn migrate_down(&self) -> StoreFuture<'_, i64> {
        self.unless(&[Mood::Away], self.inner.migrate_down())
    }

    fn known_version(&self) -> i64 {
        self.inner.known_version()
    }
}

impl Access for Unsteady {
    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    fn is_refusing(&self) -> bool {
        self.inner.is_refusing()
    }

    fn place(&self) -> String {
        self.inner.place()
    }

    fn vault(&self) -> Option<Arc<Vault>> {
        self.inner.vault()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
