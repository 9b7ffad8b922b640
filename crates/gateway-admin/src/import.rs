//! A configuration file on its way into the store: what is to be made, what changed, and what is there already.
//!
//! The whole is one list of changes, for one transaction. Done again, it comes to nothing.
//!
//! A key is told from others by its value, and then by its name: an identifier cannot tell them apart, since several names come to
//! the same one. No key ever gets another value by an import, because the one in the store may be newer: it may have been
//! rotated, and then the one in the file is what it was rotated for.

mod known;

use std::fmt;
use std::sync::Arc;

use gateway_keystore::{
    Action, Actor, AuditEntry, Changes, KeyChange, KeyRecord, NotedChange, SettingsChange, SettingsKind,
    SettingsRecord, StoreChange, StoredSettings,
};
use gateway_secret::Secret;
use jiff::Timestamp;

use self::known::{Known, KnownKeys};
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

/// What something done to a whole store comes to, for one in a certain state.
#[derive(Debug, Default)]
pub struct Plan {
    /// What has to be written, in this order.
    pub changes: Vec<NotedChange>,
    /// The same in words, with what is there already.
    pub steps: Vec<Step>,
}

/// One thing of the file, or of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// It is new.
    Create(String),
    /// The store has another state of it.
    Update(String),
    /// The store has it as it is.
    Keep(String),
    /// The store has it, and has its secrets sealed anew.
    Seal(String),
    /// The store has something else in its place, which stays as it is.
    LeaveAlone {
        /// What it is.
        what: String,
        /// Why it stays, and what somebody can do who does not want that.
        why: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(what) => write!(f, "create {what}"),
            Self::Update(what) => write!(f, "update {what}"),
            Self::Keep(what) => write!(f, "unchanged {what}"),
            Self::Seal(what) => write!(f, "seal {what}"),
            Self::LeaveAlone { what, why } => write!(f, "keep {what} ({why})"),
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
        let mut known = KnownKeys::new(stored, &self.keys);
        for key in &self.keys {
            planning.key(key, known.find(key));
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
        let after = Some(record::audited(entry, None));
        match before {
            None => {
                let note = AuditEntry { after, ..self.note(Action::CreateSettings(kind), name) };
                self.write(StoreChange::Settings(SettingsChange::Insert(entry.clone())), note, Step::Create(what));
            }
            Some(before) if record::is_same(before, entry) => self.plan.steps.push(Step::Keep(what)),
            Some(before) => {
                let (revision, created_at) = (before.revision, before.created_at);
                let next = SettingsRecord { revision, created_at, ..entry.clone() };
                let before = Some(record::audited(before, None));
                let note = AuditEntry { before, after, ..self.note(Action::UpdateSettings(kind), name) };
                self.write(StoreChange::Settings(SettingsChange::Replace(next)), note, Step::Update(what));
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &FileKey, known: Known<'_>) {
        let what = format!("key {}", key.name);
        match known {
            Known::New(id) => {
                let entry = self.key_record(key, &id);
                let note = AuditEntry { after: audited(&entry), ..self.note(Action::CreateKey, &entry.id) };
                self.write(StoreChange::Key(KeyChange::Insert(entry)), note, Step::Create(what));
            }
            Known::Same(before) => self.key_of_value(key, before, what),
            Known::Retired => {
                let why = "the store has replaced its value, and the new one stays".to_owned();
                self.plan.steps.push(Step::LeaveAlone { what, why });
            }
            Known::OtherValue(other) => {
                let alias = if *other.name == *key.name { String::new() } else { format!(", as {}", other.name) };
                let why = format!("the store has another value for it{alias}; delete it there to import this one");
                self.plan.steps.push(Step::LeaveAlone { what, why });
            }
        }
    }

    /// A key that the store has by the same value, perhaps under another name.
    fn key_of_value(&mut self, key: &FileKey, before: &KeyRecord, what: String) {
        let entry = self.key_record(key, &before.id);
        // An export gives the identifier where the name is not unique.
        let is_name = *before.id != *key.name;
        let next = KeyRecord {
            id: Arc::clone(&before.id),
            name: if is_name { Arc::clone(&entry.name) } else { Arc::clone(&before.name) },
            // A file that has the digest alone does not know.
            is_weak: entry.is_weak || before.is_weak,
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

    fn key_record(&self, key: &FileKey, id: &str) -> KeyRecord {
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
            ..KeyRecord::unlimited(id, key.digest)
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

#[cfg(test)]
mod tests;
