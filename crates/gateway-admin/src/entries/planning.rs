//! From what an administrator wants of an entry to the change that has to be written, tried on the whole configuration.

use std::sync::Arc;

use gateway_keystore::{
    Action, AuditEntry, NotedChange, SettingsChange, SettingsKind, SettingsRecord, StoreChange, StoreError,
};

use super::{Draft, EntryError, Store, StoredEntries, record};
use crate::error::Problem;

/// What an administrator wants of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'a> {
    /// That it comes to be.
    Create(&'a Draft),
    /// That it becomes another.
    Update(&'a Draft),
    /// That it is gone.
    Remove,
}

/// An entry that can be changed.
struct Changeable {
    record: SettingsRecord,
    /// Why its secrets are not in the record, if it has some that cannot be opened.
    damage: Option<String>,
}

impl StoredEntries {
    /// What has to be written; nothing if it is so already.
    pub(super) async fn plan(
        &self,
        store: &Store,
        kind: SettingsKind,
        id: &str,
        wish: Wish<'_>,
    ) -> Result<Option<NotedChange>, EntryError> {
        let (change, note) = match wish {
            Wish::Create(draft) => self.creation(store, kind, id, draft).await?,
            Wish::Remove => self.removal(store, kind, id).await?,
            Wish::Update(draft) => match self.update_to(store, kind, id, draft).await? {
                Some(planned) => planned,
                None => return Ok(None),
            },
        };
        Ok(Some(NotedChange { change: StoreChange::Settings(change), note }))
    }

    async fn creation(
        &self,
        store: &Store,
        kind: SettingsKind,
        id: &str,
        draft: &Draft,
    ) -> Result<(SettingsChange, AuditEntry), EntryError> {
        if self.is_in_file(kind, id) {
            return Err(EntryError::TakenInFile { kind, id: id.to_owned() });
        }
        match store.repository.find(kind, id).await {
            Ok(None) => {}
            Ok(Some(_)) | Err(StoreError::Unreadable { .. }) => {
                return Err(EntryError::Taken { kind, id: id.to_owned() });
            }
            Err(error) => return Err(EntryError::of_read(error, kind)),
        }
        let record = record::new(kind, id, draft, self.now());
        let note = store.note(Action::CreateSettings(kind), &record.name, record.updated_at);
        let note = AuditEntry { after: Some(record::audited(&record, None)), ..note };
        let change = SettingsChange::Insert(record);
        self.check(&change, draft).await?;
        Ok((change, note))
    }

    async fn update_to(
        &self,
        store: &Store,
        kind: SettingsKind,
        id: &str,
        draft: &Draft,
    ) -> Result<Option<(SettingsChange, AuditEntry)>, EntryError> {
        let Changeable { record: before, damage } = self.changeable(store, kind, id, draft).await?;
        let now = self.now();
        let mut after = record::changed(&before, draft, now);
        if damage.is_some() {
            after.updated_at = now;
        } else if record::is_same(&before, &after) && draft.problems.is_empty() {
            return Ok(None);
        }
        let note = store.note(Action::UpdateSettings(kind), &after.name, after.updated_at);
        let before = record::audited(&before, damage.as_deref());
        let note = AuditEntry { before: Some(before), after: Some(record::audited(&after, None)), ..note };
        let change = SettingsChange::Replace(after);
        self.check(&change, draft).await?;
        Ok(Some((change, note)))
    }

    async fn removal(
        &self,
        store: &Store,
        kind: SettingsKind,
        id: &str,
    ) -> Result<(SettingsChange, AuditEntry), EntryError> {
        let before = match self.stored(store, kind, id).await {
            Ok(record) => record::audited(&record, None),
            Err(EntryError::Unreadable { problem, .. }) => record::audited_damage(id, &problem),
            Err(error) => return Err(error),
        };
        let name: Arc<str> = id.into();
        let note = store.note(Action::DeleteSettings(kind), &name, self.now());
        let change = SettingsChange::Remove { kind, name };
        if let Err(errors) = self.configuration.check(&change).await {
            let problems = errors.iter().map(Problem::from).collect();
            return Err(EntryError::InUse { kind, id: id.to_owned(), problems });
        }
        Ok((change, AuditEntry { before: Some(before), ..note }))
    }

    /// An entry that this draft can change. Secrets that cannot be opened are not in the way of who brings others.
    async fn changeable(
        &self,
        store: &Store,
        kind: SettingsKind,
        id: &str,
        draft: &Draft,
    ) -> Result<Changeable, EntryError> {
        let problem = match self.stored(store, kind, id).await {
            Err(EntryError::Unreadable { problem, .. }) => problem,
            found => return whole(Changeable { record: found?, damage: None }, draft),
        };
        let found = store.repository.find_without_secrets(kind, id).await;
        let record = self.found(found, kind, id)?;
        if !draft.brings_secrets(kind) {
            return Err(EntryError::Sealed { kind, id: id.to_owned(), problem });
        }
        whole(Changeable { record, damage: Some(problem) }, draft)
    }

    async fn stored(&self, store: &Store, kind: SettingsKind, id: &str) -> Result<SettingsRecord, EntryError> {
        self.found(store.repository.find(kind, id).await, kind, id)
    }

    /// The entry that a store was asked for, if that is what it gave.
    fn found(
        &self,
        found: Result<Option<SettingsRecord>, StoreError>,
        kind: SettingsKind,
        id: &str,
    ) -> Result<SettingsRecord, EntryError> {
        let found = found.map_err(|error| EntryError::of_read(error, kind))?;
        found.ok_or_else(|| self.not_stored(kind, id))
    }
}

/// An entry of which nothing can be kept becomes another only by a draft that says what calls it takes. From the defaults alone it
/// would be one that takes any.
fn whole(entry: Changeable, draft: &Draft) -> Result<Changeable, EntryError> {
    let record = &entry.record;
    if record::can_keep_settings(record) || draft.says_where(record.kind) {
        return Ok(entry);
    }
    Err(EntryError::Damaged { kind: record.kind, id: record.name.to_string() })
}
