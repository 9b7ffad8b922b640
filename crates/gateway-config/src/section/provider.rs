//! One of `providers`: an upstream account.

use gateway_secret::Secret;
use gateway_upstream::Timeouts;
use http::Uri;

use super::catalogue::Listing;
use super::url::Query;
use super::{header, health_check, mapping, server, timeouts, url};
use crate::config::{HealthCheckDefaults, Origin, Provider, ProviderEndpoint};
use crate::fields::{Fields, refuse_rivals};
use crate::item::Item;
use crate::vocabulary::Vocabulary;

const OPENAI: &str = "openai";
const SIMULATOR: &str = "simulator";
const SIMULATED: ProviderEndpoint = ProviderEndpoint::Simulator { at: None };
/// Where `openai` is if nothing else is said (<https://platform.openai.com/docs/api-reference>).
const OPENAI_BASE: &str = "https://api.openai.com/v1";
/// The largest weight; shares finer than a thousandth mean nothing.
const MAX_WEIGHT: u64 = 1_000;
/// The most keys of a provider: which of them a call has used at a target is noted in the bits of a word.
const MAX_KEYS: usize = 64;

/// What a provider has if it does not say otherwise.
pub(super) struct Defaults<'v> {
    pub(super) vocabulary: &'v Vocabulary,
    pub(super) verify_ssl: bool,
    pub(super) timeouts: Timeouts,
    pub(super) health_check: &'v HealthCheckDefaults,
}

/// Reads one provider. One of the store has its name and its origin from there, one of the file has them itself.
pub(super) fn read_one<'a>(item: &Item<'a>, stored: Option<(&'a str, Origin)>, defaults: &Defaults<'_>) -> Listing<'a> {
    let Some(mut fields) = item.fields() else { return Listing::default() };
    let (name, origin) = match stored {
        Some((name, origin)) => (check_name(item, name), origin),
        None => (fields.require("name").and_then(|item| check_name(&item, item.text("a name")?)), Origin::File),
    };
    let kind = fields.take("type").map_or(Some(OPENAI), |item| read_kind(&item, defaults.vocabulary));
    let endpoint = read_endpoint(&mut fields, kind);
    let api_keys = read_keys(&mut fields);
    let mut provider = Provider {
        name: name.unwrap_or_default().to_owned(),
        // The simulator speaks OpenAI's protocol; only its address is special.
        kind: kind.filter(|kind| *kind != SIMULATOR).unwrap_or(OPENAI).to_owned(),
        endpoint,
        api_keys,
        weight: fields.take("weight").and_then(|item| read_weight(&item, "set `enabled: false`")).unwrap_or(1),
        model_mapping: fields.take("model_mapping").map(|item| mapping::read(&item)).unwrap_or_default(),
        max_in_flight: server::read_max_in_flight(&mut fields),
        headers: fields.take("headers").map(|item| header::read_added(&item)).unwrap_or_default(),
        forward_headers: fields.take("forward_headers").map(|item| header::read_forwarded(&item)).unwrap_or_default(),
        verify_ssl: fields.flag("verify_ssl").unwrap_or(defaults.verify_ssl),
        timeouts: timeouts::read(&mut fields).over(defaults.timeouts),
        health_check: None,
        resolvable: true,
        enabled: fields.flag("enabled").unwrap_or(true),
        origin,
    };
    provider.health_check = health_check::read(&mut fields, &provider, defaults.health_check);
    fields.finish();
    Listing { name, provider: Some(provider) }
}

/// Checks the name of a provider, which is the item or belongs to it.
fn check_name<'a>(item: &Item<'_>, name: &'a str) -> Option<&'a str> {
    let name = item.checked_name(name, "a name")?;
    if name.contains('/') {
        // `provider/model` is how a caller names a provider.
        item.refuse_text(name, "a name without a slash");
        return None;
    }
    Some(name)
}

fn read_kind<'a>(item: &Item<'a>, vocabulary: &Vocabulary) -> Option<&'a str> {
    let known: Vec<&str> = vocabulary.protocols.iter().copied().chain([SIMULATOR]).collect();
    item.one_of(&known, "a host that is compatible with OpenAI is of type `openai`")
}

fn read_endpoint(fields: &mut Fields<'_>, kind: Option<&str>) -> ProviderEndpoint {
    match (fields.take("api_base"), kind) {
        (Some(item), _) => url::read(&item, Query::Refused).map_or(SIMULATED, ProviderEndpoint::Base),
        (None, Some(OPENAI)) => ProviderEndpoint::Base(Uri::from_static(OPENAI_BASE)),
        (None, Some(SIMULATOR) | None) => SIMULATED,
        (None, Some(kind)) => {
            fields
                .item()
                .refuse(format!("`api_base` is missing; only openai and simulator have one, `{kind}` does not"));
            SIMULATED
        }
    }
}

/// Reads `api_key` or `api_keys`, of which none may be there twice; neither is an upstream without authentication.
pub(super) fn read_keys(fields: &mut Fields<'_>) -> Vec<Secret> {
    let one = fields.take("api_key");
    let several = fields.take("api_keys");
    refuse_rivals([&one, &several]);
    let items: Vec<Item<'_>> = one.into_iter().chain(several.map(|item| item.items()).unwrap_or_default()).collect();
    if let Some(item) = items.get(MAX_KEYS) {
        item.refuse(format!("the list has {} keys; a provider may have {MAX_KEYS}", items.len()));
    }
    let mut keys: Vec<(Secret, &Item<'_>)> = Vec::with_capacity(items.len().min(MAX_KEYS));
    for item in items.iter().take(MAX_KEYS) {
        let Some(key) = item.secret() else { continue };
        // They are so few that looking at all of them takes less time than hashing.
        if let Some((_, other)) = keys.iter().rfind(|(other, _)| *other == key) {
            item.refuse(format!("the same key as {}; keep one of them", other.path()));
        }
        keys.push((key, item));
    }
    keys.into_iter().map(|(key, _)| key).collect()
}

/// Reads a share. Zero is refused, because it would be a second way to say "disabled".
pub(super) fn read_weight(item: &Item<'_>, instead_of_zero: &str) -> Option<u32> {
    if item.is_text() && item.scalar("a weight") == Some("0") {
        item.refuse(format!(
            "found 0, expected a whole number from 1 to {MAX_WEIGHT}; to take it out, {instead_of_zero}"
        ));
        return None;
    }
    item.integer(1..=MAX_WEIGHT)
}
