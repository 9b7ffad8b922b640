//! `providers`: those of the file, and after them those of the store.

use gateway_keystore::SettingsKind;

use super::catalogue::{Absence, Catalogue};
use super::crowd;
use super::provider::{self, Defaults};
use crate::fields::Fields;
use crate::stored::{Stored, StoredEntry};

/// Reads all providers.
pub(super) fn read_all<'a>(root: &mut Fields<'a>, stored: &'a Stored<'_>, defaults: &Defaults<'_>) -> Catalogue<'a> {
    let mut catalogue = Catalogue::new((!stored.is_read).then_some(Absence::Unread), stored.dangling);
    for item in root.take("providers").map(|list| list.items()).unwrap_or_default() {
        let listing = provider::read_one(&item, None, defaults);
        catalogue.list(&item, listing);
    }
    for entry in &stored.providers {
        read_stored(entry, &mut catalogue, defaults);
    }
    for name in stored.unreadable(SettingsKind::Provider) {
        catalogue.list_stored(name, None, None);
    }
    crowd::thin_out(&mut catalogue);
    catalogue
}

/// Reads a provider of the store, unless its name is taken. What is wrong with it is left out.
fn read_stored<'a>(entry: &'a StoredEntry<'_>, catalogue: &mut Catalogue<'a>, defaults: &Defaults<'_>) {
    let (name, item) = (entry.name(), entry.item());
    if let Some(holder) = catalogue.holder(name) {
        entry.yield_name_to(holder);
        return catalogue.note_left_out();
    }
    let listing = provider::read_one(&item, Some((name, entry.origin())), defaults);
    catalogue.list_stored(name, Some(item), listing.provider.filter(|_| !entry.is_left_out()));
}
