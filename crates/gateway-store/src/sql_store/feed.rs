//! What has changed.

use std::sync::Arc;

use gateway_keystore::{Changes, KeyFeed, Pending, Version};
use sqlx::Connection;

use super::row;
use super::statements::{CHANGED_KEYS, EVERY_KEY, REMOVED_KEYS};
use super::{Dialect, Driven, Failure, LONG_PATIENCE, PATIENCE, SqlStore, all, current_version, within};
use crate::driver::{Cells, Driver, Value};

/// How far back the log of changes goes; what is older, the tables' triggers forget.
const REMEMBERED: i64 = 10_000;

impl<D: Dialect> KeyFeed for SqlStore<D> {
    fn changes(&self, since: Option<Version>) -> Pending<'_, Changes> {
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

    fn changed(&self) -> Pending<'_, ()> {
        self.dialect().changed()
    }
}

/// Reads what has changed, all of it as it was at one moment.
async fn read<D: Dialect>(connection: &mut Driven<D>, since: Option<Version>) -> Result<Changes, Failure> {
    let version = current_version::<D>(connection).await?;
    // A version from the future is that of a store that has since been put back to an earlier state.
    let known = since.filter(|since| *since <= version && since.0 >= version.0 - REMEMBERED);
    let mut changes = Changes { version, is_everything: known.is_none(), ..Changes::default() };
    let (sql, values) = match known {
        None => (EVERY_KEY, vec![]),
        Some(since) => (CHANGED_KEYS, vec![Value::from(since.0)]),
    };
    let (keys, unreadable) = (&mut changes.keys, &mut changes.unreadable);
    D::Driver::each(connection, sql, &values, &mut |row| match row::read(row) {
        Ok(key) => keys.push(key),
        Err(problem) => unreadable.push(problem),
    })
    .await?;
    if known.is_some() {
        let ids = all::<D, _>(connection, REMOVED_KEYS, &values, |row| row.text(0).map(|id| id.map(Arc::from))).await?;
        changes.removed = ids.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
    }
    Ok(changes)
}
