//! `master_keys`: the keys that callers present.

use std::collections::{HashMap, HashSet};

use gateway_call::ModelPattern;
use gateway_secret::{KeyDigest, Secret};
use jiff::Timestamp;

use super::rate_limit;
use crate::config::MasterKey;
use crate::fields::Fields;
use crate::item::Item;

/// Below this a caller's key is accepted with a warning, in characters.
const STRONG_KEY: usize = 16;

/// Reads the section; `None` if there is none, so that another may define the keys.
pub(super) fn read_all(root: &mut Fields<'_>) -> Option<Vec<MasterKey>> {
    let section = root.take("master_keys")?;
    let mut keys = Vec::new();
    let mut names = HashSet::new();
    let mut holders = HashMap::new();
    for item in section.items() {
        let Some(key) = read_one(&item) else { continue };
        if !names.insert(key.name.clone()) {
            item.refuse(format!("the name `{}` is taken by an earlier key; names are unique", key.name));
        }
        if let Some(other) = holders.insert(KeyDigest::of(key.key.expose().as_bytes()), key.name.clone()) {
            item.refuse(format!("`{}` has the same key as `{other}`; give each caller a key of its own", key.name));
        }
        keys.push(key);
    }
    Some(keys)
}

fn read_one(item: &Item<'_>) -> Option<MasterKey> {
    let mut fields = item.fields()?;
    let name = fields.require("name").and_then(|item| item.name("a name"));
    let key = fields.require("key").and_then(|item| read_key(&item));
    let allowed_models = fields.take("allowed_models").map(|item| read_patterns(&item));
    let enabled = read_enabled(&mut fields);
    let (rate_limit, budget) = (rate_limit::read(&mut fields), rate_limit::read_budget(&mut fields));
    let limits = rate_limit::limits(rate_limit.as_ref(), budget);
    let expires_at = read_expiry(&mut fields);
    let metadata = fields.take("metadata").map(|item| read_metadata(&item)).unwrap_or_default();
    fields.finish();
    Some(MasterKey {
        name: name?.to_owned(),
        key: key?,
        allowed_models: allowed_models.unwrap_or_else(|| vec![ModelPattern::new("*")]),
        enabled,
        rate_limit,
        budget,
        limits,
        expires_at,
        metadata,
    })
}

fn read_key(item: &Item<'_>) -> Option<Secret> {
    let key = item.secret()?;
    warn_if_weak(item, &key);
    Some(key)
}

/// Warns about a key that could be guessed.
pub(super) fn warn_if_weak(item: &Item<'_>, key: &Secret) {
    if key.expose().chars().count() < STRONG_KEY {
        item.warn(&format!("the key is short; use {STRONG_KEY} random characters or more"));
    }
}

/// `is_enabled` is what the Admin API calls it.
fn read_enabled(fields: &mut Fields<'_>) -> bool {
    let current = fields.flag("enabled");
    let older = fields.take_older("is_enabled");
    if current.is_some()
        && let Some(item) = &older
    {
        item.refuse("another name of `enabled`, which is given too; keep one of them");
    }
    current.or_else(|| older?.flag()).unwrap_or(true)
}

fn read_patterns(item: &Item<'_>) -> Vec<ModelPattern> {
    let items = item.items();
    items.iter().filter_map(|item| item.name("the name of a model or a pattern")).map(ModelPattern::new).collect()
}

fn read_metadata(item: &Item<'_>) -> Vec<(String, String)> {
    let note = |(name, value): (&str, Item<'_>)| Some((name.to_owned(), value.scalar("a text")?.to_owned()));
    item.entries().into_iter().filter_map(note).collect()
}

/// When the key stops working.
fn read_expiry(fields: &mut Fields<'_>) -> Option<Timestamp> {
    let item = fields.take("expires_at")?;
    let expected = "a date and time with its offset, such as 2030-01-31T00:00:00Z";
    let text = item.text(expected)?;
    let expiry = text.parse().ok();
    if expiry.is_none() {
        item.refuse_text(text, expected);
    }
    expiry
}
