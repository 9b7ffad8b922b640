//! Providers and models as rows of their tables.
//!
//! Rows may have been written by hand, so whoever reads one is told which column makes no sense. What the settings say is
//! not looked at here; of the secrets only that they can be opened and are an object, because whoever reads them next would
//! tell what is wrong by repeating it.

use std::sync::Arc;

use gateway_keystore::{
    NotedChange, SettingsChange, SettingsKind, SettingsRecord, SettingsRepository, StoreChange, StoreError,
    StoreFuture, StoredSettings, UnreadableSettings, Version,
};
use gateway_secret::Secret;

use super::row::{Cursor, time};
use super::statements::{MODELS, PROVIDERS, SETTINGS_COLUMNS, SettingsTable};
use super::write::Change;
use super::{Dialect, Driven, Failure, PATIENCE, SqlStore, all, count, within};
use crate::driver::{Cells, Driver, Value};
use crate::json::is_object;
use crate::vault::{Place, Sealing};

impl<D: Dialect> SettingsRepository for SqlStore<D> {
    fn find<'a>(&'a self, kind: SettingsKind, name: &'a str) -> StoreFuture<'a, Option<SettingsRecord>> {
        within::<D, _>(PATIENCE, async move {
            let mut connection = self.lease().await?;
            let read = |row: &_| read(row, kind, self.sealing());
            let found = all::<D, _>(&mut connection, table(kind).one, &[name.into()], read).await?;
            connection.give_back();
            let unreadable =
                |row: UnreadableSettings| StoreError::Unreadable { id: name.to_owned(), problem: row.problem }.into();
            found.into_iter().next().transpose().map_err(unreadable)
        })
    }

    fn write_all<'a>(&'a self, changes: &'a [NotedChange]) -> StoreFuture<'a, Version> {
        let changes = changes.iter().map(|noted| match &noted.change {
            StoreChange::Key(change) => (Change::Key(change), &noted.note),
            StoreChange::Settings(change) => (Change::Settings(change), &noted.note),
        });
        self.write_changes(changes.collect())
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
    read_columns(row, kind, sealing).map_err(|problem| {
        let name = row.text(0).ok().flatten().unwrap_or_default().to_owned();
        UnreadableSettings { kind, name, problem }
    })
}

fn read_columns(row: &impl Cells, kind: SettingsKind, sealing: &Sealing) -> Result<SettingsRecord, String> {
    let mut cells = Cursor::new(row, SETTINGS_COLUMNS);
    let name: Arc<str> = cells.needed(Cells::text, |name| Ok(Arc::from(name)))?;
    let open = |written: &str| opened(sealing, Place { kind, name: &name }, written);
    Ok(SettingsRecord {
        kind,
        settings: cells.needed(Cells::text, |settings| Ok(settings.to_owned()))?,
        secrets: cells.next(Cells::text, open)?,
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
