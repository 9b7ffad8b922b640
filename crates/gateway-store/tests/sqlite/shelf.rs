//! Providers and models that a test is told of.

use gateway_keystore::StoredSettings;
use gateway_store::SettingsBook;
use parking_lot::Mutex;

/// What was told, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<Vec<StoredSettings>>);

impl Shelf {
    /// What was told last; none if nothing was.
    pub(crate) fn latest(&self) -> Option<StoredSettings> {
        self.0.lock().last().cloned()
    }

    /// How often something was told.
    pub(crate) fn told(&self) -> usize {
        self.0.lock().len()
    }
}

impl SettingsBook for Shelf {
    fn take(&self, settings: StoredSettings) {
        self.0.lock().push(settings);
    }
}
