//! What has changed.

use std::sync::Arc;

use gateway_keystore::{Changes, KeyFeed, StoreFuture, Version};
use sqlx::Connection;

use super::statements::{CHANGED_KEYS, EVERY_KEY, REMOVED_KEYS};
use super::{Dialect, Driven, Failure, LONG_PATIENCE, PATIENCE, SqlStore, all, current_version, within};
use super::{packed, row};
use crate::driver::{Cells, Driver, Value};

/// How far back the log of changes goes; what is older, the tables' triggers forget.
const REMEMBERED: i64 = 10_000;

impl<D: Dialect> KeyFeed for SqlStore<D> {
    fn changes(&self, since: Option<Version>) -> StoreFuture<'_, Changes> {
        within::<D, _>(LONG_PATIENCE, async move {
            let mut connection = self.lease().await?;
            // Nearly always nothing has changed, and whether a database is silent should be known soon.
            let version = tokio::time::timeout(PATIENCE, current_version::<D>(&mut connection)).await??;
            if since == Some(version) {
                connection.give_back();
                return Ok(Changes { version, ..Changes::default() });
            }
            let mut transaction = connection.begin_with(D::STATEMENTS.begin_read).await?;
            let changes = read::<D>(&mut transaction, since).await?;
            transaction.commit().await?;
            connection.give_back();
            Ok(changes)
        })
    }

    fn changed(&self) -> StoreFuture<'_, ()> {
        self.dialect().changed()
    }
}

/// Reads what has changed, all of it as it was at one moment.
async fn read<D: Dialect>(connection: &mut Driven<D>, since: Option<Version>) -> Result<Changes, Failure> {
    let version = current_version::<D>(connection).await?;
    // A version from the future is that of a store that has since been put back to an earlier state.
    let known = since.filter(|since| *since <= version && since.0 >= version.0 - REMEMBERED);
    let mut changes = Changes { version, is_everything: known.is_none(), ..Changes::default() };
    let Some(since) = known else {
        read_everything::<D>(connection, &mut changes).await?;
        return Ok(changes);
    };
    let since = [Value::from(since.0)];
    read_keys::<D>(connection, CHANGED_KEYS, &since, &mut changes).await?;
    let ids = all::<D, _>(connection, REMOVED_KEYS, &since, |row| row.text(0).map(|id| id.map(Arc::from))).await?;
    changes.removed = ids.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(changes)
}

async fn read_everything<D: Dialect>(connection: &mut Driven<D>, changes: &mut Changes) -> sqlx::Result<()> {
    if let Some(sql) = D::STATEMENTS.every_key_packed
        && let Some(keys) = packed::every_key::<D>(connection, sql).await
    {
        changes.keys = keys;
        return Ok(());
    }
    read_keys::<D>(connection, EVERY_KEY, &[], changes).await
}

async fn read_keys<D: Dialect>(
    connection: &mut Driven<D>,
    sql: &'static str,
    values: &[Value<'_>],
    Changes { keys, unreadable, .. }: &mut Changes,
) -> sqlx::Result<()> {
    D::Driver::each(connection, sql, values, &mut |row| match row::read(row) {
        Ok(key) => keys.push(key),
        Err(problem) => unreadable.push(problem),
    })
    .await
}
