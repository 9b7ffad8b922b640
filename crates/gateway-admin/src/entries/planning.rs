//! From what an administrator wants of an entry to the change that has to be written, tried on the whole configuration.

use std::sync::Arc;

use gateway_keystore::{
    Action, AuditEntry, NotedChange, SettingsChange, SettingsKind, SettingsRecord, StoreChange, StoreError,
};

use super::{Draft, EntryError, StoredEntries, record};
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
        kind: SettingsKind,
        id: &str,
        wish: Wish<'_>,
    ) -> Result<Option<NotedChange>, EntryError> {
        let (change, note) = match wish {
            Wish::Create(draft) => self.creation(kind, id, draft).await?,
            Wish::Remove => self.removal(kind, id).await?,
            Wish::Update(draft) => match self.update_to(kind, id, draft).await? {
                Some(planned) => planned,
                None => return Ok(None),
            },
        };
        Ok(Some(NotedChange { change: StoreChange::Settings(change), note }))
    }

    async fn creation(
        &self,
        kind: SettingsKind,
        id: &str,
        draft: &Draft,
    ) -> Result<(SettingsChange, AuditEntry), EntryError> {
        let store = self.store()?;
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
        let note = AuditEntry { after: Some(record::audited(&record)), ..note };
        let change = SettingsChange::Insert(record);
        self.check(&change, draft).await?;
        Ok((change, note))
    }

    async fn update_to(
        &self,
        kind: SettingsKind,
        id: &str,
        draft: &Draft,
    ) -> Result<Option<(SettingsChange, AuditEntry)>, EntryError> {
        let Changeable { record: before, damage } = self.changeable(kind, id, draft).await?;
        let now = self.now();
        let mut after = record::changed(&before, draft, now);
        if damage.is_some() {
            after.updated_at = now;
        } else if record::is_same(&before, &after) && draft.problems.is_empty() {
            return Ok(None);
        }
        let before = match damage {
            Some(problem) => record::audited_without_secrets(&before, &problem),
            None => record::audited(&before),
        };
        let note = self.store()?.note(Action::UpdateSettings(kind), &after.name, after.updated_at);
        let note = AuditEntry { before: Some(before), after: Some(record::audited(&after)), ..note };
        let change = SettingsChange::Replace(after);
        self.check(&change, draft).await?;
        Ok(Some((change, note)))
    }

    async fn removal(&self, kind: SettingsKind, id: &str) -> Result<(SettingsChange, AuditEntry), EntryError> {
        let before = match self.stored(kind, id).await {
            Ok(record) => record::audited(&record),
            Err(EntryError::Unreadable { problem, .. }) => record::audited_damage(id, &problem),
            Err(error) => return Err(error),
        };
        let name: Arc<str> = id.into();
        let note = self.store()?.note(Action::DeleteSettings(kind), &name, self.now());
        let change = SettingsChange::Remove { kind, name };
        if let Err(errors) = self.configuration.check(&change).await {
            let problems = errors.iter().map(Problem::from).collect();
            return Err(EntryError::InUse { kind, id: id.to_owned(), problems });
        }
        Ok((change, AuditEntry { before: Some(before), ..note }))
    }

    /// An entry that this draft can change. Secrets that cannot be opened are not in the way of who brings others.
    async fn changeable(&self, kind: SettingsKind, id: &str, draft: &Draft) -> Result<Changeable, EntryError> {
        let unreadable = match self.stored(kind, id).await {
            Err(error @ EntryError::Unreadable { .. }) => error,
            found => return Ok(Changeable { record: found?, damage: None }),
        };
        let readable = self.store()?.repository.find_without_secrets(kind, id).await;
        match (unreadable, readable) {
            (EntryError::Unreadable { problem, .. }, Ok(Some(record))) if draft.brings_secrets() => {
                Ok(Changeable { record, damage: Some(problem) })
            }
            (EntryError::Unreadable { kind, id, problem }, Ok(Some(_))) => {
                Err(EntryError::Sealed { kind, id, problem })
            }
            (error, _) => Err(error),
        }
    }

    async fn stored(&self, kind: SettingsKind, id: &str) -> Result<SettingsRecord, EntryError> {
        if let Some(store) = &self.store {
            let found = store.repository.find(kind, id).await.map_err(|error| EntryError::of_read(error, kind))?;
            if let Some(record) = found {
                return Ok(record);
            }
        }
        let is_in_file = self.is_in_file(kind, id);
        let id = id.to_owned();
        Err(if is_in_file { EntryError::InFile { kind, id } } else { EntryError::NotFound { kind, id } })
    }
}
