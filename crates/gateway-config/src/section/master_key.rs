//! `master_keys`: the keys that callers present.

use std::collections::{HashMap, HashSet};

use gateway_call::ModelPattern;
use gateway_secret::{KeyDigest, Secret};
use jiff::Timestamp;

use super::rate_limit;
use crate::config::{KeyMaterial, MasterKey, Store};
use crate::fields::{Fields, refuse_rivals};
use crate::item::Item;

/// Below this a caller's key is accepted with a warning, in characters.
const STRONG_KEY: usize = 16;
/// Before a digest that was made without a pepper.
const PLAIN: &str = "sha256";
/// Before a digest that was made with one (RFC 2104).
const PEPPERED: &str = "hmac-sha256";

/// Reads the section, with the keys' digests compared as `store` makes them; `None` if there is none, so that another may
/// define the keys.
pub(super) fn read_all(root: &mut Fields<'_>, store: &Store) -> Option<Vec<MasterKey>> {
    let section = root.take("master_keys")?;
    let digester = store.digester();
    let mut keys = Vec::new();
    let mut names = HashSet::new();
    let mut holders = HashMap::new();
    for item in section.items() {
        let Some(key) = read_one(&item, store) else { continue };
        if !names.insert(key.name.clone()) {
            item.refuse(format!("the name `{}` is taken by an earlier key; names are unique", key.name));
        }
        if let Some(other) = holders.insert(key.key.digest(&digester), key.name.clone()) {
            item.refuse(format!("`{}` has the same key as `{other}`; give each caller a key of its own", key.name));
        }
        keys.push(key);
    }
    Some(keys)
}

fn read_one(item: &Item<'_>, store: &Store) -> Option<MasterKey> {
    let mut fields = item.fields()?;
    let name = fields.require("name").and_then(|item| item.name("a name"));
    let key = read_material(&mut fields, store);
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

/// Reads `key`, or `key_digest` and `key_preview`.
fn read_material(fields: &mut Fields<'_>, store: &Store) -> Option<KeyMaterial> {
    let has_digest = fields.find("key_digest").is_some_and(|item| !item.is_absent() || item.is_refused());
    let key = if has_digest { fields.take("key") } else { fields.require("key") };
    let digest = fields.take("key_digest");
    let preview = fields.take("key_preview");
    refuse_rivals([&key, &digest]);
    if let (false, Some(item)) = (has_digest, &preview) {
        item.refuse("`key_preview` goes with `key_digest`; remove it");
    }
    if let Some(item) = digest {
        let digest = read_digest(&item, store);
        let preview = preview.and_then(|item| item.name("the first and last characters of the key"));
        return Some(KeyMaterial::Digest { digest: digest?, preview: preview.unwrap_or_default().to_owned() });
    }
    let item = key?;
    let key = item.secret()?;
    warn_if_weak(&item, &key);
    Some(KeyMaterial::Plain(key))
}

/// Reads a digest. It is no secret, but what stands in its place by mistake may be one, so it is not repeated.
fn read_digest(item: &Item<'_>, store: &Store) -> Option<KeyDigest> {
    const EXPECTED: &str = "the SHA-256 or HMAC-SHA-256 of the key as 64 hexadecimal digits, as in sha256:9f86d081…";
    let text = item.scalar(EXPECTED)?;
    let (label, digits) = text.split_once(':').map_or((None, text), |(label, digits)| (Some(label), digits));
    let is_peppered = match label {
        None => store.key_pepper.is_some(),
        Some(PLAIN) => false,
        Some(PEPPERED) => true,
        Some(_) => return refuse_digest(item, EXPECTED),
    };
    let Some(bytes) = bytes_of(digits) else { return refuse_digest(item, EXPECTED) };
    if is_peppered && store.key_pepper.is_none() {
        item.warn("no key will fit, because the digest was made with a pepper; set `store.key_pepper`");
    } else if !is_peppered && store.key_pepper.is_some() {
        item.warn("no key will fit, because the digest was made without the pepper that `store.key_pepper` sets");
    }
    Some(KeyDigest::from_bytes(bytes))
}

fn refuse_digest<T>(item: &Item<'_>, expected: &str) -> Option<T> {
    item.refuse_kind(expected);
    None
}

fn bytes_of(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok()?;
    }
    Some(bytes)
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
