//! Providers and models as rows of their tables.
//!
//! Rows may have been written by hand, so whoever reads one is told which column makes no sense. What the settings say is
//! not looked at here; of the secrets only that they can be opened and are an object, because whoever reads them next would
//! tell what is wrong by repeating it.

use std::sync::Arc;

use gateway_keystore::{
    NotedChange, Position, SettingsChange, SettingsKind, SettingsRecord, SettingsRepository, StoreError, StoreFuture,
    StoredSettings, UnreadableSettings, Version,
};
use gateway_secret::Secret;

use super::row::{Cursor, time};
use super::statements::{MODELS, PROVIDERS, SETTINGS_COLUMNS, SettingsTable};
use super::write::Change;
use super::{Dialect, Driven, Failure, PATIENCE, SqlStore, all, count, is_name, within};
use crate::driver::{Cells, Driver, Value};
use crate::hex::hex;
use crate::json::is_object;
use crate::vault::{Place, Sealing};

impl<D: Dialect> SettingsRepository for SqlStore<D> {
    fn find<'a>(&'a self, kind: SettingsKind, name: &'a str) -> StoreFuture<'a, Option<SettingsRecord>> {
        self.find_one(kind, name, Some(self.sealing()))
    }

    fn find_without_secrets<'a>(
        &'a self,
        kind: SettingsKind,
        name: &'a str,
    ) -> StoreFuture<'a, Option<SettingsRecord>> {
        self.find_one(kind, name, None)
    }

    fn write_all<'a>(&'a self, changes: &'a [NotedChange]) -> StoreFuture<'a, Version> {
        self.write_changes(changes.iter().map(Change::of).collect(), None)
    }

    fn write_all_at<'a>(&'a self, tried_at: &'a Position, changes: &'a [NotedChange]) -> StoreFuture<'a, Version> {
        self.write_changes(changes.iter().map(Change::of).collect(), Some(tried_at))
    }
}

impl<D: Dialect> SqlStore<D> {
    /// One entry, with what `sealing` makes of its secrets; without them if that is none.
    fn find_one<'a>(
        &'a self,
        kind: SettingsKind,
        name: &'a str,
        sealing: Option<&'a Sealing>,
    ) -> StoreFuture<'a, Option<SettingsRecord>> {
        within::<D, _>(PATIENCE, async move {
            if !is_name::<D>(name) {
                return Ok(None);
            }
            let mut connection = self.lease().await?;
            let read = |row: &_| read_columns(row, kind, sealing);
            let found = all::<D, _>(&mut connection, table(kind).one, &[name.into()], read).await?;
            connection.give_back();
            let unreadable = |problem| StoreError::Unreadable { id: name.to_owned(), problem }.into();
            found.into_iter().next().transpose().map_err(unreadable)
        })
    }
}

/// All providers and models, as a transaction sees them.
pub(super) async fn read_all<D: Dialect>(
    connection: &mut Driven<D>,
    sealing: &Sealing,
) -> Result<StoredSettings, Failure> {
    let mut settings = StoredSettings::default();
    for kind in SettingsKind::ALL {
        D::Driver::each(connection, table(kind).every, &[], &mut |row| match read(row, kind, sealing) {
            Ok(record) => settings.records.push(record),
            Err(problem) => settings.unreadable.push(problem),
        })
        .await?;
    }
    Ok(settings)
}

pub(super) async fn make<D: Dialect>(
    connection: &mut Driven<D>,
    sealing: &Sealing,
    change: &SettingsChange,
) -> Result<(), Failure> {
    let (kind, name) = change.object();
    let (table, name) = (table(kind), Value::from(&**name));
    let done = match change {
        SettingsChange::Insert(record) => {
            let secrets = sealed(sealing, record)?;
            let created_at = record.created_at.as_microsecond();
            let values = [state(record, secrets.as_deref()).as_slice(), &[created_at.into()]].concat();
            count::<D>(connection, table.insert, &values).await?;
            return Ok(());
        }
        SettingsChange::Replace(record) => {
            let secrets = sealed(sealing, record)?;
            let values = [state(record, secrets.as_deref()).as_slice(), &[record.revision.into()]].concat();
            count::<D>(connection, table.replace, &values).await?
        }
        SettingsChange::Remove { .. } => count::<D>(connection, table.remove, &[name]).await?,
    };
    if done > 0 {
        return Ok(());
    }
    let exists = count::<D>(connection, table.one, &[name]).await? > 0;
    Err(if exists { StoreError::Stale } else { StoreError::NotFound }.into())
}

const fn table(kind: SettingsKind) -> &'static SettingsTable {
    match kind {
        SettingsKind::Provider => &PROVIDERS,
        SettingsKind::Model => &MODELS,
    }
}

fn sealed(sealing: &Sealing, record: &SettingsRecord) -> Result<Option<String>, Failure> {
    let place = Place { kind: record.kind, name: &record.name };
    let secrets = record.secrets.as_ref().map(|secrets| sealing.seal(place, secrets)).transpose();
    secrets.map_err(|error| StoreError::Refused { source: error.into() }.into())
}

/// The name, and what an administrator changes.
fn state<'a>(record: &'a SettingsRecord, secrets: Option<&'a str>) -> [Value<'a>; 4] {
    [
        Value::from(&*record.name),
        Value::from(record.settings.as_str()),
        Value::Text(secrets),
        Value::from(record.updated_at.as_microsecond()),
    ]
}

fn read(row: &impl Cells, kind: SettingsKind, sealing: &Sealing) -> Result<SettingsRecord, UnreadableSettings> {
    read_columns(row, kind, Some(sealing)).map_err(|problem| UnreadableSettings { kind, name: name(row), problem })
}

/// What to call a row that cannot be read. A name that is no text is told in hexadecimal, as SQL writes bytes, so that it is
/// told from others and can be found by hand.
fn name(row: &impl Cells) -> String {
    match (row.text(0), row.bytes(0)) {
        (Ok(Some(name)), _) => name.to_owned(),
        (_, Ok(Some(bytes))) => format!("x'{}'", hex(&bytes)),
        _ => String::new(),
    }
}

/// Reads a row of [`SETTINGS_COLUMNS`], without the secrets if there is no sealing.
fn read_columns(row: &impl Cells, kind: SettingsKind, sealing: Option<&Sealing>) -> Result<SettingsRecord, String> {
    let mut cells = Cursor::new(row, SETTINGS_COLUMNS);
    let name: Arc<str> = cells.needed(Cells::text, |name| Ok(Arc::from(name)))?;
    Ok(SettingsRecord {
        kind,
        settings: cells.needed(Cells::text, |settings| Ok(settings.to_owned()))?,
        secrets: match sealing {
            Some(sealing) => {
                cells.next(Cells::text, |written| opened(sealing, Place { kind, name: &name }, written))?
            }
            None => cells.pass_over(),
        },
        revision: cells.needed(Cells::integer, Ok)?,
        created_at: cells.needed(Cells::integer, time)?,
        updated_at: cells.needed(Cells::integer, time)?,
        name,
    })
}

fn opened(sealing: &Sealing, place: Place<'_>, written: &str) -> Result<Secret, String> {
    let secrets = sealing.open(place, written)?;
    if is_object(secrets.expose()) { Ok(secrets) } else { Err("is not a JSON object".to_owned()) }
}
