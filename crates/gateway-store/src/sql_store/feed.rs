//! What has changed.

use std::sync::Arc;

use gateway_keystore::{Changes, KeyFeed, Position, StoreFuture, Version};
use sqlx::Connection;

use super::statements::{CHANGED_KEYS, EVERY_KEY, REMOVED_KEYS, SETTINGS_CHANGED, TOKEN};
use super::{Dialect, Driven, Failure, LONG_PATIENCE, PATIENCE, SqlStore, all, count, current_position, within};
use super::{packed, row, settings};
use crate::driver::{Cells, Driver, Value};
use crate::vault::Sealing;

/// How far back the log of changes goes; what is older, the tables' triggers forget.
const REMEMBERED: i64 = 10_000;

impl<D: Dialect> KeyFeed for SqlStore<D> {
    fn changes<'a>(&'a self, since: Option<&'a Position>) -> StoreFuture<'a, Changes> {
        within::<D, _>(LONG_PATIENCE, async move {
            let mut connection = self.lease().await?;
            // Nearly always nothing has changed, and whether a database is silent should be known soon.
            let position = tokio::time::timeout(PATIENCE, current_position::<D>(&mut connection)).await??;
            if since == Some(&position) {
                connection.give_back();
                return Ok(Changes { position, ..Changes::default() });
            }
            let mut transaction = connection.begin_with(D::STATEMENTS.begin_read).await?;
            let changes = read::<D>(&mut transaction, self.sealing(), since).await?;
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
async fn read<D: Dialect>(
    connection: &mut Driven<D>,
    sealing: &Sealing,
    since: Option<&Position>,
) -> Result<Changes, Failure> {
    let position = current_position::<D>(connection).await?;
    let known = match since {
        Some(since) if is_known::<D>(connection, &position, since).await? => Some(since.version),
        _ => None,
    };
    let mut changes = Changes { position, is_everything: known.is_none(), ..Changes::default() };
    let Some(version) = known else {
        read_everything::<D>(connection, &mut changes).await?;
        changes.settings = Some(settings::read_all::<D>(connection, sealing).await?);
        return Ok(changes);
    };
    let since = Value::from(version.0);
    read_keys::<D>(connection, CHANGED_KEYS, &[since], &mut changes).await?;
    let ids = all::<D, _>(connection, REMOVED_KEYS, &[since], |row| row.text(0).map(|id| id.map(Arc::from))).await?;
    changes.removed = ids.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
    if have_settings_changed::<D>(connection, version).await? {
        changes.settings = Some(settings::read_all::<D>(connection, sealing).await?);
    }
    Ok(changes)
}

/// Whether the store was once where somebody has seen it, and the log of changes goes back to that. It may be another store,
/// or have been put back to an earlier state and gone elsewhere since.
pub(super) async fn is_known<D: Dialect>(
    connection: &mut Driven<D>,
    position: &Position,
    since: &Position,
) -> Result<bool, Failure> {
    let version = since.version.0;
    if since.store != position.store || since.version > position.version || version < position.version.0 - REMEMBERED {
        return Ok(false);
    }
    let read = |row: &_| Ok::<_, sqlx::Error>(Arc::from(Cells::text(row, 0)?.unwrap_or_default()));
    let tokens: Vec<_> = all::<D, _>(connection, TOKEN, &[version.into()], read).await?;
    let token: Option<Arc<str>> = tokens.into_iter().next().transpose()?;
    // A store that was never changed has none, nor has one whose versions somebody has counted on by hand.
    Ok(token.unwrap_or_default() == since.token)
}

/// Whether a provider or a model has changed since a version that is known.
pub(super) async fn have_settings_changed<D: Dialect>(
    connection: &mut Driven<D>,
    since: Version,
) -> sqlx::Result<bool> {
    Ok(count::<D>(connection, SETTINGS_CHANGED, &[since.0.into()]).await? > 0)
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
