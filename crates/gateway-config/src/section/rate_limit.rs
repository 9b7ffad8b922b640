//! `rate_limit` and `budget` of a key, and `rate_limit_config`, the older section in which limits define the keys.

use gateway_call::ModelPattern;

use super::master_key::warn_if_weak;
use crate::config::MasterKey;
use crate::fields::Fields;
use crate::item::Item;

/// Reads a limit; 0 blocks.
pub(super) fn read(item: &Item<'_>) {
    let Some(mut fields) = item.fields() else { return };
    for count in
        ["requests_per_second", "burst_size", "requests_per_minute", "tokens_per_minute", "max_concurrent", "limit"]
    {
        if let Some(item) = fields.take(count) {
            item.integer::<u64>(0..=u64::MAX);
        }
    }
    read_period(&mut fields);
    fields.finish();
}

/// Reads a budget in US dollars.
pub(super) fn read_budget(item: &Item<'_>) {
    let Some(mut fields) = item.fields() else { return };
    if let Some(item) = fields.require("usd") {
        item.number(0.0..=f64::INFINITY);
    }
    if let Some(item) = fields.take("period") {
        item.choice(&[("day", ()), ("month", ()), ("total", ())]);
    }
    fields.finish();
}

fn read_period(fields: &mut Fields<'_>) {
    if let Some(item) = fields.take("period_seconds") {
        item.integer::<u32>(1..=31_622_400);
    }
}

/// Reads `rate_limit_config`. Without `master_keys` it defines the keys; with them it may only limit those.
pub(super) fn read_draft(root: &mut Fields<'_>, listed: Option<Vec<MasterKey>>) -> Vec<MasterKey> {
    let Some(section) = root.take_older("rate_limit_config") else { return listed.unwrap_or_default() };
    section.report().note_not_in_force(section.path());
    let Some(mut fields) = section.fields() else { return listed.unwrap_or_default() };
    let entries = fields.take("keys").map(|item| item.entries()).unwrap_or_default();
    fields.finish();
    for (_, item) in &entries {
        read_draft_limit(item);
    }
    match listed {
        Some(keys) => {
            refuse_strangers(&entries, &keys);
            keys
        }
        None => entries.iter().enumerate().filter_map(|(index, (key, item))| define_key(index, key, item)).collect(),
    }
}

fn read_draft_limit(item: &Item<'_>) {
    let Some(mut fields) = item.fields() else { return };
    if let Some(item) = fields.require("limit") {
        item.integer::<u64>(0..=u64::MAX);
    }
    read_period(&mut fields);
    fields.finish();
}

/// A limit on a key that does not exist limits nobody, which nobody can have meant.
fn refuse_strangers(entries: &[(&str, Item<'_>)], keys: &[MasterKey]) {
    for (key, item) in entries {
        if !keys.iter().any(|listed| listed.key.expose() == *key) {
            item.refuse(
                "the limit is on a key that is not in `master_keys`; add it there, or give that key a `rate_limit`",
            );
        }
    }
}

/// The key's name counts from 1; its text is a secret and cannot serve as one.
fn define_key(index: usize, key: &str, item: &Item<'_>) -> Option<MasterKey> {
    let secret = item.checked_secret(key)?;
    warn_if_weak(item, &secret);
    Some(MasterKey {
        name: format!("rate_limit_config[{}]", index + 1),
        key: secret,
        allowed_models: vec![ModelPattern::new("*")],
        enabled: true,
    })
}
