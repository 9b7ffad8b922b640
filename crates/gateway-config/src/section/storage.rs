//! `store` and `redis`: where state outlives the process. Their URLs may hold passwords and are never repeated.

use std::path::PathBuf;

use gateway_secret::Secret;

use crate::config::{OnRedisError, Redis, Store, StorePlace};
use crate::fields::Fields;
use crate::item::Item;

/// The store of a configuration that does not mention one.
const DEFAULT_FILE: &str = "gateway.db";

/// Reads `store`.
pub(super) fn read_store(root: &mut Fields<'_>) -> Store {
    let default = StorePlace::Default(PathBuf::from(DEFAULT_FILE));
    let Some(mut fields) = root.take("store").and_then(|item| item.fields()) else {
        return Store { place: default, key_pepper: None };
    };
    let place = fields.take("url").filter(|item| !item.is_text_empty()).and_then(|item| read_place(&item));
    let key_pepper = fields.take("key_pepper").filter(|item| !item.is_text_empty()).and_then(|item| item.secret());
    fields.finish();
    Store { place: place.unwrap_or(default), key_pepper }
}

fn read_place(item: &Item<'_>) -> Option<StorePlace> {
    const EXPECTED: &str = "sqlite:PATH, a postgresql:// URL, or none";
    let url = item.scalar(EXPECTED)?;
    if url == "none" {
        return Some(StorePlace::Nowhere);
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.is_empty() && !path.starts_with('?') {
            return Some(StorePlace::Sqlite(PathBuf::from(path)));
        }
    } else if has_scheme(url, &["postgresql://", "postgres://"]) {
        return Some(StorePlace::Postgres(Secret::from(url)));
    }
    refuse_unseen(item, EXPECTED);
    None
}

/// Reads `redis`; none if its URL is empty.
pub(super) fn read_redis(root: &mut Fields<'_>) -> Option<Redis> {
    const EXPECTED: &str = "a redis:// or rediss:// URL, or nothing";
    let mut fields = root.take("redis").and_then(|item| item.fields())?;
    let on_error = fields.take("on_error");
    let on_error =
        on_error.and_then(|item| item.choice(&[("local", OnRedisError::Local), ("deny", OnRedisError::Deny)]));
    let url = fields.take("url");
    fields.finish();
    let item = url?;
    let url = item.scalar(EXPECTED).filter(|url| !url.is_empty() && *url != "none")?;
    if !has_scheme(url, &["redis://", "rediss://"]) {
        refuse_unseen(&item, EXPECTED);
    }
    Some(Redis { url: Secret::from(url), on_error: on_error.unwrap_or(OnRedisError::Local) })
}

fn has_scheme(url: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

fn refuse_unseen(item: &Item<'_>, expected: &str) {
    item.refuse(format!("expected {expected}; what was found may hold a password and is not repeated"));
}
