//! The providers and models of a snapshot, with their secrets sealed as in the store.

use std::collections::BTreeMap;

use gateway_keystore::{SettingsKind, SettingsRecord, StoredSettings, UnreadableSettings};
use serde::{Deserialize, Serialize};

use super::line::{Line, time};
use crate::vault::{Place, Sealing};

/// A provider or a model.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsLine {
    kind: String,
    name: String,
    state: Written,
}

/// How it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Written {
    /// As it is now. Times are microseconds since the epoch, as in a store.
    Readable { settings: String, secrets: Option<String>, revision: i64, created_at: i64, updated_at: i64 },
    /// What is wrong with it.
    Unreadable(String),
    /// It is gone.
    Removed,
}

/// All providers and models, as they are written down.
#[derive(Debug, Clone, Default)]
pub(super) struct SettingsLines(BTreeMap<(SettingsKind, String), Written>);

impl SettingsLines {
    /// Takes over what a line says.
    pub(super) fn take(&mut self, line: SettingsLine) -> Result<(), String> {
        let kind = SettingsKind::ALL.into_iter().find(|kind| kind.as_str() == line.kind);
        let key = (kind.ok_or_else(|| format!("is of the kind {:?}, which is none", line.kind))?, line.name);
        match line.state {
            Written::Removed => drop(self.0.remove(&key)),
            state => drop(self.0.insert(key, state)),
        }
        Ok(())
    }

    /// Brings this to what the store has, and returns the lines that say what is new. What has not changed is not sealed
    /// again, because a key is good for so many messages only.
    pub(super) fn update(&mut self, stored: &StoredSettings, sealing: &Sealing) -> Vec<Line> {
        let mut before = std::mem::take(&mut self.0);
        let mut news = Vec::new();
        for record in &stored.records {
            let key = (record.kind, record.name.to_string());
            let state = match before.remove(&key) {
                Some(state) if state.is_of(record, sealing) => state,
                _ => note(&mut news, &key, Written::of(record, sealing)),
            };
            self.0.insert(key, state);
        }
        for row in &stored.unreadable {
            let (key, state) = ((row.kind, row.name.clone()), Written::Unreadable(row.problem.clone()));
            if before.remove(&key).as_ref() != Some(&state) {
                note(&mut news, &key, state.clone());
            }
            self.0.insert(key, state);
        }
        for key in before.keys() {
            note(&mut news, key, Written::Removed);
        }
        news
    }

    /// A line for each.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line> {
        self.0.iter().map(|(key, state)| line(key, state.clone()))
    }

    /// What they were before they were written down.
    pub(super) fn open(&self, sealing: &Sealing) -> StoredSettings {
        let mut opened = StoredSettings::default();
        for ((kind, name), state) in &self.0 {
            match state.open(*kind, name, sealing) {
                Ok(record) => opened.records.push(record),
                Err(problem) => {
                    opened.unreadable.push(UnreadableSettings { kind: *kind, name: name.clone(), problem });
                }
            }
        }
        opened
    }
}

impl Written {
    fn of(record: &SettingsRecord, sealing: &Sealing) -> Self {
        let place = Place { kind: record.kind, name: &record.name };
        let secrets = record.secrets.as_ref().map(|secrets| sealing.seal(place, secrets)).transpose();
        match secrets {
            Ok(secrets) => Self::Readable {
                settings: record.settings.clone(),
                secrets,
                revision: record.revision,
                created_at: record.created_at.as_microsecond(),
                updated_at: record.updated_at.as_microsecond(),
            },
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }

    /// Whether this is the record as it would be written today, whatever it would be sealed to.
    fn is_of(&self, record: &SettingsRecord, sealing: &Sealing) -> bool {
        let Self::Readable { settings, secrets, revision, created_at, updated_at } = self else { return false };
        let place = Place { kind: record.kind, name: &record.name };
        let are_secrets_same = match (secrets, &record.secrets) {
            (None, None) => true,
            (Some(written), Some(secrets)) => sealing.is_written(place, secrets, written),
            _ => false,
        };
        let times = (record.created_at.as_microsecond(), record.updated_at.as_microsecond());
        (settings, *revision, (*created_at, *updated_at)) == (&record.settings, record.revision, times)
            && are_secrets_same
    }

    fn open(&self, kind: SettingsKind, name: &str, sealing: &Sealing) -> Result<SettingsRecord, String> {
        match self {
            Self::Readable { settings, secrets, revision, created_at, updated_at } => {
                let open = |written: &String| sealing.open(Place { kind, name }, written);
                let secrets = secrets.as_ref().map(open).transpose();
                Ok(SettingsRecord {
                    kind,
                    name: name.into(),
                    settings: settings.clone(),
                    secrets: secrets.map_err(|problem| format!("secrets: {problem}"))?,
                    revision: *revision,
                    created_at: time(*created_at)?,
                    updated_at: time(*updated_at)?,
                })
            }
            Self::Unreadable(problem) => Err(problem.clone()),
            Self::Removed => Err("is gone".to_owned()),
        }
    }
}

fn line((kind, name): &(SettingsKind, String), state: Written) -> Line {
    Line::Settings(SettingsLine { kind: kind.as_str().to_owned(), name: name.clone(), state })
}

fn note(news: &mut Vec<Line>, key: &(SettingsKind, String), state: Written) -> Written {
    news.push(line(key, state.clone()));
    state
}
