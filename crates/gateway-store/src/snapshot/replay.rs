//! What a file says when its lines are read one after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_keystore::{Changes, KeyRecord, Position, Version};

use super::line::{Head, Line, is_key, read_line};
use super::log::FORMAT;
use super::settings::SettingsLines;
use super::spending::{Sums, Window};
use crate::vault::Sealing;

/// The lines of a file, one after the other.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) head: Option<Head>,
    version: Version,
    token: Arc<str>,
    pub(super) settings: SettingsLines,
    keys: BTreeMap<Arc<str>, KeyRecord>,
    pub(super) sums: BTreeMap<Window, Sums>,
}

impl Replay {
    /// Leaves out the keys.
    pub(super) fn take_spending(&mut self, line: &[u8]) -> Result<(), String> {
        if is_key(line) { Ok(()) } else { self.take(read_line(line)?) }
    }

    pub(super) fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Head(head) => self.head = Some(head),
            Line::Key(line) => {
                let key = KeyRecord::try_from(*line)?;
                self.keys.insert(Arc::clone(&key.id), key);
            }
            Line::Removed(id) => drop(self.keys.remove(&*id)),
            Line::Spent(line) => {
                let sums = Sums { recorded: line.recorded, unrecorded: line.unrecorded };
                self.sums.insert(line.place()?, sums);
            }
            Line::Settings(line) => self.settings.take(line)?,
            Line::State { version, token } => (self.version, self.token) = (Version(version), token.into()),
            Line::Version(version) => self.version = Version(version),
        }
        Ok(())
    }

    /// Whether the file is one that would be written now.
    pub(super) fn is_of_today(&self, place: &str) -> bool {
        self.head.as_ref().is_some_and(|head| head.format == FORMAT && head.place.as_deref() == Some(place))
    }

    pub(super) fn position(&self) -> Position {
        let store = self.head.as_ref().and_then(|head| head.store.as_deref()).unwrap_or_default().into();
        Position { version: self.version, store, token: Arc::clone(&self.token) }
    }

    /// Keys and settings. A file of a format that had no settings knows nothing of them, not that there are none.
    pub(super) fn take_changes(&mut self, sealing: &Sealing) -> Changes {
        let knows_settings = self.head.as_ref().is_some_and(|head| head.format >= FORMAT);
        let settings = knows_settings.then(|| self.settings.open(sealing));
        let keys = std::mem::take(&mut self.keys).into_values().collect();
        Changes { position: self.position(), is_everything: true, keys, settings, ..Changes::default() }
    }
}
