//! Writing, each change with its line in the audit log.

use std::time::Duration;

use gateway_keystore::{
    AuditEntry, KeyChange, NotedChange, Position, SettingsChange, StoreChange, StoreError, StoreFuture, Version,
};
use sqlx::Connection;

use super::statements::{BE_ALONE, NOTE};
use super::{Dialect, Driven, Failure, PATIENCE, SqlStore, count, current_position, feed, keys, settings};
use crate::driver::Value;

/// How much longer each of many changes may take.
const EACH: Duration = Duration::from_millis(20);

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'a> {
    Key(&'a KeyChange),
    Settings(&'a SettingsChange),
}

impl<'a> Change<'a> {
    /// A change, and its line.
    pub(super) fn of(noted: &'a NotedChange) -> (Self, &'a AuditEntry) {
        let change = match &noted.change {
            StoreChange::Key(change) => Self::Key(change),
            StoreChange::Settings(change) => Self::Settings(change),
        };
        (change, &noted.note)
    }
}

impl<D: Dialect> SqlStore<D> {
    /// Makes all changes, in their order, or none; none either if providers or models have changed since they were tried.
    pub(super) fn write_changes<'a>(
        &'a self,
        changes: Vec<(Change<'a>, &'a AuditEntry)>,
        tried_at: Option<&'a Position>,
    ) -> StoreFuture<'a, Version> {
        let patience = PATIENCE + EACH.saturating_mul(u32::try_from(changes.len()).unwrap_or(u32::MAX));
        self.writing(patience, async move {
            let mut connection = self.lease().await?;
            let mut transaction = connection.begin_with(D::STATEMENTS.begin_write).await?;
            // Before any row is locked: two who change the same rows in different orders would wait for each other.
            count::<D>(&mut transaction, BE_ALONE, &[]).await?;
            if let Some(tried_at) = tried_at {
                refuse_if_changed::<D>(&mut transaction, tried_at).await?;
            }
            for (change, entry) in changes {
                match change {
                    Change::Key(change) => keys::make::<D>(&mut transaction, change).await?,
                    Change::Settings(change) => {
                        settings::make::<D>(&mut transaction, self.sealing(), change).await?;
                    }
                }
                note::<D>(&mut transaction, entry).await?;
            }
            let position = current_position::<D>(&mut transaction).await?;
            transaction.commit().await?;
            self.connections().confirm(self.dialect())?;
            connection.give_back();
            Ok(position.version)
        })
    }
}

/// Fails if a provider or a model is, or may be, another than at a position.
async fn refuse_if_changed<D: Dialect>(connection: &mut Driven<D>, since: &Position) -> Result<(), Failure> {
    let position = current_position::<D>(connection).await?;
    let is_same = position == *since
        || (feed::is_known::<D>(connection, &position, since).await?
            && !feed::have_settings_changed::<D>(connection, since.version).await?);
    if is_same { Ok(()) } else { Err(StoreError::Stale.into()) }
}

async fn note<D: Dialect>(connection: &mut Driven<D>, entry: &AuditEntry) -> sqlx::Result<()> {
    let values = [
        Value::from(entry.at.as_microsecond()),
        Value::from(entry.actor.as_str()),
        Value::from(entry.action.as_str()),
        Value::from(&*entry.object),
        Value::Text(entry.before.as_deref()),
        Value::Text(entry.after.as_deref()),
    ];
    count::<D>(connection, NOTE, &values).await.map(drop)
}
