//! A configuration file on its way into the store: what is to be made, what changed, and what is there already.
//!
//! The whole is one list of changes, for one transaction. Done again, it comes to nothing.

use std::fmt;
use std::sync::Arc;

use gateway_keystore::{
    Action, Actor, AuditEntry, Changes, KeyChange, KeyRecord, NotedChange, SettingsChange, SettingsKind,
    SettingsRecord, StoreChange, StoredSettings,
};
use gateway_secret::Secret;
use jiff::Timestamp;

use crate::entries::record;
use crate::json::Members;
use crate::master_keys::{FileKey, audited};

/// What a file holds, as far as a store can keep it.
#[derive(Debug, Default)]
pub struct Import {
    entries: Vec<SettingsRecord>,
    keys: Vec<FileKey>,
}

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// An entry is not written as an object.
    #[error("the {kind} `{name}` has no settings that could be stored")]
    NoSettings {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        name: String,
    },
    /// The store has something by that name that it cannot read.
    #[error("the store has a {kind} `{name}` that cannot be read ({problem}); delete it, or mend it by hand")]
    Unreadable {
        /// What it is.
        kind: SettingsKind,
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What an import comes to, for a store in a certain state.
#[derive(Debug, Default)]
pub struct Plan {
    /// What has to be written, in this order.
    pub changes: Vec<NotedChange>,
    /// The same in words, with what is there already.
    pub steps: Vec<Step>,
}

/// One thing of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is new.
    Create(String),
    /// The store has another state of it.
    Update(String),
    /// The store has it as it is.
    Keep(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(what) => write!(f, "create {what}"),
            Self::Update(what) => write!(f, "update {what}"),
            Self::Keep(what) => write!(f, "unchanged {what}"),
        }
    }
}

impl Import {
    /// Adds a provider or a model: its settings as a JSON object, by the names of a file.
    ///
    /// # Errors
    ///
    /// It is no object.
    pub fn entry(
        &mut self,
        kind: SettingsKind,
        name: &str,
        settings: &Secret,
        now: Timestamp,
    ) -> Result<(), ImportError> {
        let no_settings = || ImportError::NoSettings { kind, name: name.to_owned() };
        let members = Members::parse(settings.expose()).ok_or_else(no_settings)?;
        self.entries.push(record::of_file(kind, name, members, now));
        Ok(())
    }

    /// Adds a key.
    pub fn key(&mut self, key: FileKey) {
        self.keys.push(key);
    }

    /// What it comes to for a store that holds this.
    ///
    /// # Errors
    ///
    /// The store holds something that is in the way.
    pub fn plan(&self, stored: &Changes, actor: Actor, now: Timestamp) -> Result<Plan, ImportError> {
        let mut planning = Planning { plan: Plan::default(), actor, now };
        let nothing = StoredSettings::default();
        let settings = stored.settings.as_ref().unwrap_or(&nothing);
        for entry in &self.entries {
            planning.entry(entry, settings)?;
        }
        for key in &self.keys {
            planning.key(key, &stored.keys);
        }
        Ok(planning.plan)
    }
}

struct Planning {
    plan: Plan,
    actor: Actor,
    now: Timestamp,
}

impl Planning {
    fn entry(&mut self, entry: &SettingsRecord, stored: &StoredSettings) -> Result<(), ImportError> {
        let (kind, name) = (entry.kind, &entry.name);
        let what = format!("{kind} {name}");
        if let Some(row) = stored.unreadable.iter().find(|row| row.kind == kind && *row.name == **name) {
            let problem = row.problem.clone();
            return Err(ImportError::Unreadable { kind, name: name.to_string(), problem });
        }
        let before = stored.records.iter().find(|record| record.kind == kind && record.name == *name);
        let after = Some(record::audited(entry));
        match before {
            None => {
                let note = AuditEntry { after, ..self.note(Action::CreateSettings(kind), name) };
                self.write(StoreChange::Settings(SettingsChange::Insert(entry.clone())), note, Step::Create(what));
            }
            Some(before) if record::is_same(before, entry) => self.plan.steps.push(Step::Keep(what)),
            Some(before) => {
                let (revision, created_at) = (before.revision, before.created_at);
                let next = SettingsRecord { revision, created_at, ..entry.clone() };
                let before = Some(record::audited(before));
                let note = AuditEntry { before, after, ..self.note(Action::UpdateSettings(kind), name) };
                self.write(StoreChange::Settings(SettingsChange::Replace(next)), note, Step::Update(what));
            }
        }
        Ok(())
    }

    /// A key is known by its value first: one that was made under another identifier is the same key.
    fn key(&mut self, key: &FileKey, stored: &[KeyRecord]) {
        let entry = self.key_record(key);
        let what = format!("key {}", key.name);
        let by_value = stored.iter().find(|record| record.digest == entry.digest);
        let Some(before) = by_value.or_else(|| stored.iter().find(|record| record.id == entry.id)) else {
            let note = AuditEntry { after: audited(&entry), ..self.note(Action::CreateKey, &entry.id) };
            return self.write(StoreChange::Key(KeyChange::Insert(entry)), note, Step::Create(what));
        };
        let next = KeyRecord {
            id: Arc::clone(&before.id),
            previous: before.previous,
            created_at: before.created_at,
            updated_at: before.updated_at,
            last_used_at: before.last_used_at,
            revision: before.revision,
            ..entry
        };
        if next == *before {
            return self.plan.steps.push(Step::Keep(what));
        }
        let next = KeyRecord { updated_at: self.now, ..next };
        let (state_before, after) = (audited(before), audited(&next));
        let note = AuditEntry { before: state_before, after, ..self.note(Action::UpdateKey, &before.id) };
        self.write(StoreChange::Key(KeyChange::Replace(next)), note, Step::Update(what));
    }

    fn key_record(&self, key: &FileKey) -> KeyRecord {
        let metadata: serde_json::Map<_, _> =
            key.metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        KeyRecord {
            name: key.name.as_str().into(),
            preview: key.preview.clone(),
            is_weak: key.is_weak,
            allowed_models: key.allowed_models.clone(),
            rate_limit: key.rate_limit.clone(),
            budget: key.budget,
            expires_at: key.expires_at,
            is_enabled: key.is_enabled,
            metadata: serde_json::Value::Object(metadata).to_string(),
            created_at: self.now,
            updated_at: self.now,
            ..KeyRecord::unlimited(&identifier(&key.name), key.digest)
        }
    }

    fn note(&self, action: Action, object: &Arc<str>) -> AuditEntry {
        AuditEntry { at: self.now, actor: self.actor, action, object: Arc::clone(object), before: None, after: None }
    }

    fn write(&mut self, change: StoreChange, note: AuditEntry, step: Step) {
        self.plan.changes.push(NotedChange { change, note });
        self.plan.steps.push(step);
    }
}

/// A name as an identifier, which can stand in a path: `Production Key` is `Production-Key`.
fn identifier(name: &str) -> String {
    const MAX: usize = 64;
    let plain = |it: char| if it.is_ascii_alphanumeric() || matches!(it, '.' | '_') { it } else { '-' };
    name.chars().take(MAX).map(plain).collect()
}

#[cfg(test)]
mod tests;
