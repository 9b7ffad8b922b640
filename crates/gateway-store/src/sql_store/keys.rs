//! Reading and writing keys, and reading what was noted.

use gateway_keystore::{
    AuditEntry, AuditRecord, KeyChange, KeyRecord, KeyRepository, StoreError, StoreFuture, Version,
};

use super::row::{self, Written, time};
use super::statements::{FIRST_KEYS, INSERT_KEY, KEY, KEY_EXISTS, NEXT_KEYS, NOTES, REMOVE_KEY, REPLACE_KEY};
use super::write::Change;
use super::{Dialect, Driven, Failure, PATIENCE, SqlStore, all, count, is_name, within};
use crate::driver::{Cells, Value};

impl<D: Dialect> KeyRepository for SqlStore<D> {
    fn key<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<KeyRecord>> {
        within::<D, _>(PATIENCE, async move {
            if !is_name::<D>(id) {
                return Ok(None);
            }
            let mut connection = self.lease().await?;
            let found = all::<D, _>(&mut connection, KEY, &[id.into()], row::read).await?;
            connection.give_back();
            let unreadable = |(_, problem)| StoreError::Unreadable { id: id.to_owned(), problem }.into();
            found.into_iter().next().transpose().map_err(unreadable)
        })
    }

    fn keys<'a>(&'a self, after: Option<&'a str>, limit: u32) -> StoreFuture<'a, Vec<KeyRecord>> {
        within::<D, _>(PATIENCE, async move {
            let mut connection = self.lease().await?;
            let found = page::<D>(&mut connection, after.map(str::to_owned), limit as usize).await?;
            connection.give_back();
            Ok(found)
        })
    }

    fn write<'a>(&'a self, change: &'a KeyChange, note: &'a AuditEntry) -> StoreFuture<'a, Version> {
        self.write_changes(vec![(Change::Key(change), note)], None)
    }

    fn audit(&self, before: Option<i64>, limit: u32) -> StoreFuture<'_, Vec<AuditRecord>> {
        within::<D, _>(PATIENCE, async move {
            let mut connection = self.lease().await?;
            let values = [Value::from(before.unwrap_or(i64::MAX)), Value::from(i64::from(limit))];
            let found = all::<D, _>(&mut connection, NOTES, &values, read_note).await?;
            connection.give_back();
            found.into_iter().collect()
        })
    }
}

/// The next readable keys. Unreadable ones are passed over; whoever follows the store reports them.
async fn page<D: Dialect>(
    connection: &mut Driven<D>,
    mut after: Option<String>,
    limit: usize,
) -> Result<Vec<KeyRecord>, Failure> {
    let mut found = Vec::new();
    while found.len() < limit {
        let missing = limit - found.len();
        let wanted = Value::from(i64::try_from(missing).unwrap_or(i64::MAX));
        let rows = match after.as_deref() {
            None => all::<D, _>(connection, FIRST_KEYS, &[wanted], row::read).await?,
            Some(after) => all::<D, _>(connection, NEXT_KEYS, &[after.into(), wanted], row::read).await?,
        };
        let is_last = rows.len() < missing;
        after = rows.last().map(|row| row.as_ref().map_or_else(|(id, _)| id.clone(), |record| record.id.to_string()));
        found.extend(rows.into_iter().filter_map(Result::ok));
        // An identifier that is no text, which SQLite puts behind all that are, reads as none: behind it is nothing.
        if is_last || after.as_deref() == Some("") {
            break;
        }
    }
    Ok(found)
}

pub(super) async fn make<D: Dialect>(connection: &mut Driven<D>, change: &KeyChange) -> Result<(), Failure> {
    let (id, done) = match change {
        KeyChange::Insert(record) => {
            count::<D>(connection, INSERT_KEY, &Written::new(record).columns()).await?;
            return Ok(());
        }
        KeyChange::Replace(record) => {
            let written = Written::new(record);
            let mut values = written.state();
            values.push(record.revision.into());
            (&record.id, count::<D>(connection, REPLACE_KEY, &values).await?)
        }
        KeyChange::Remove(id) => (id, count::<D>(connection, REMOVE_KEY, &[Value::from(&**id)]).await?),
    };
    if done > 0 {
        return Ok(());
    }
    let exists = count::<D>(connection, KEY_EXISTS, &[Value::from(&**id)]).await? > 0;
    Err(if exists { StoreError::Stale } else { StoreError::NotFound }.into())
}

fn read_note(row: &impl Cells) -> Result<AuditRecord, Failure> {
    let damaged = || Failure::damaged("a row of audit_log cannot be read");
    let text = |column| row.text(column)?.map(str::to_owned).ok_or_else(damaged);
    Ok(AuditRecord {
        number: row.integer(0)?.ok_or_else(damaged)?,
        at: row.integer(1)?.and_then(|at| time(at).ok()).ok_or_else(damaged)?,
        actor: text(2)?,
        action: text(3)?,
        object: text(4)?,
        before: row.text(5)?.map(str::to_owned),
        after: row.text(6)?.map(str::to_owned),
    })
}
