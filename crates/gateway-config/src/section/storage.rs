//! `store`: where state outlives the process. Its URL may hold a password and is never repeated.

use std::path::PathBuf;

use gateway_secret::Secret;

use crate::config::{Store, StorePlace};
use crate::fields::Fields;
use crate::item::Item;

/// The store of a configuration that does not mention one.
const DEFAULT_FILE: &str = "gateway.db";

/// Reads `store`.
pub(super) fn read_store(root: &mut Fields<'_>) -> Store {
    let default = StorePlace::Default(PathBuf::from(DEFAULT_FILE));
    let Some(mut fields) = root.take("store").and_then(|item| item.fields()) else {
        return Store { place: default, key_pepper: None, encryption_key: None };
    };
    let place = fields.take("url").filter(|item| !item.is_text_empty()).and_then(|item| read_place(&item));
    let key_pepper = fields.take("key_pepper").filter(|item| !item.is_text_empty()).and_then(|item| item.secret());
    let encryption_key =
        fields.take("encryption_key").filter(|item| !item.is_text_empty()).and_then(|item| item.secret());
    fields.finish();
    Store { place: place.unwrap_or(default), key_pepper, encryption_key }
}

fn read_place(item: &Item<'_>) -> Option<StorePlace> {
    const EXPECTED: &str = "sqlite:PATH, a postgresql:// URL, or none";
    let url = item.scalar(EXPECTED)?;
    if url == "none" {
        return Some(StorePlace::Nowhere);
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if let Some(problem) = misread(path) {
            item.refuse(problem);
            return None;
        }
        if !path.is_empty() {
            return Some(StorePlace::Sqlite(PathBuf::from(path)));
        }
    } else if has_scheme(url, &["postgresql://", "postgres://"]) {
        return Some(StorePlace::Postgres(Secret::from(url)));
    }
    refuse_unseen(item, EXPECTED);
    None
}

/// What other programs understand after `sqlite:` and this one does not: it would make a file of that name.
fn misread(path: &str) -> Option<&'static str> {
    if path.contains(":memory:") {
        Some("keys cannot be kept in memory; name a file, as in sqlite:gateway.db, or use `none` for no store")
    } else if path.contains('?') {
        Some("expected sqlite:PATH without `?` and parameters; the file is made if it is not there")
    } else if path.starts_with("file:") {
        Some("expected sqlite:PATH, without `file:`")
    } else {
        None
    }
}

/// Whether a URL has one of these schemes, and something behind it.
pub(super) fn has_scheme(url: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// Refuses what may hold a password.
pub(super) fn refuse_unseen(item: &Item<'_>, expected: &str) {
    item.refuse(format!("expected {expected}; what was found may hold a password and is not repeated"));
}
