//! `master_keys`: the keys that callers present.

use std::collections::{HashMap, HashSet};

use gateway_call::ModelPattern;
use gateway_secret::{KeyDigest, Secret};

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
    read_limits(&mut fields);
    fields.finish();
    Some(MasterKey {
        name: name?.to_owned(),
        key: key?,
        allowed_models: allowed_models.unwrap_or_else(|| vec![ModelPattern::new("*")]),
        enabled,
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

fn read_limits(fields: &mut Fields<'_>) {
    if let Some(item) = fields.take_not_in_force("rate_limit") {
        rate_limit::read(&item);
    }
    if let Some(item) = fields.take_not_in_force("budget") {
        rate_limit::read_budget(&item);
    }
    if let Some(item) = fields.take_not_in_force("expires_at") {
        let expected = "a date and time with its offset, such as 2030-01-31T00:00:00Z";
        if let Some(text) = item.text(expected)
            && !is_timestamp(text)
        {
            item.refuse_text(text, expected);
        }
    }
    if let Some(item) = fields.take("metadata") {
        item.entries();
    }
}

/// Whether a text has the form of RFC 3339, section 5.6, with every number in its range.
fn is_timestamp(text: &str) -> bool {
    let Some((date_time, zone)) = text.split_at_checked("2030-01-31T00:00:00".len()) else { return false };
    let zone =
        zone.strip_prefix('.').map_or(zone, |fraction| fraction.trim_start_matches(|c: char| c.is_ascii_digit()));
    let has_date_and_time =
        fits(date_time, "####-##-##T##:##:##", &[(0, 9999), (1, 12), (1, 31), (0, 23), (0, 59), (0, 60)]);
    let has_zone = matches!(zone, "Z" | "z")
        || fits(zone, "+##:##", &[(0, 23), (0, 59)])
        || fits(zone, "-##:##", &[(0, 23), (0, 59)]);
    has_date_and_time && has_zone
}

/// Whether a text follows a picture of digits (`#`) and marks, with each run of digits within its range.
fn fits(text: &str, picture: &str, ranges: &[(u16, u16)]) -> bool {
    let is_drawn = text.len() == picture.len()
        && text.bytes().zip(picture.bytes()).all(|(found, mark)| match mark {
            b'#' => found.is_ascii_digit(),
            b'T' => found.eq_ignore_ascii_case(&b'T') || found == b' ',
            _ => found == mark,
        });
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    is_drawn
        && numbers
            .zip(ranges)
            .all(|(number, (low, high))| number.parse().is_ok_and(|number: u16| (*low..=*high).contains(&number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_the_form_of_rfc_3339() {
        for (text, expected) in [
            ("2030-01-31T00:00:00Z", true),
            ("2030-01-31t23:59:60.123+05:30", true),
            ("2030-01-31 00:00:00-08:00", true),
            ("2030-13-31T00:00:00Z", false),
            ("2030-01-31T24:00:00Z", false),
            ("2030-01-31T00:00:00", false),
            ("2030-01-31", false),
            ("tomorrow", false),
            ("2030-01-31T00:00:00+25:00", false),
            ("２030-01-31T00:00:00Z", false),
        ] {
            assert_eq!(is_timestamp(text), expected, "{text}");
        }
    }
}
