//! `headers` and `forward_headers` of a provider.

use gateway_call::CREDENTIAL_HEADERS;
use http::{HeaderName, HeaderValue};

use crate::item::Item;

/// Headers that describe the connection or the message's framing (RFC 9110, sections 7.2, 7.6.1 and 8.6): ours to set.
const FRAMING: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// The most headers of a provider, of each sort: as many as servers take of a request, most of them.
const MAX_HEADERS: usize = 100;

/// Refuses more than a request can carry.
fn refuse_too_many(item: &Item<'_>, count: usize) {
    if count > MAX_HEADERS {
        item.refuse(format!("{count} headers are given; a provider may have {MAX_HEADERS}"));
    }
}

/// Reads headers to add to every request. Values may be credentials and are not repeated.
pub(super) fn read_added(item: &Item<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let entries = item.entries();
    refuse_too_many(item, entries.len());
    for (name, value) in entries.into_iter().take(MAX_HEADERS) {
        let Some(name) = parse_name(&value, name) else { continue };
        if headers.iter().any(|(other, _)| *other == name) {
            value.refuse("the header is given twice; names ignore case");
        }
        let Some(text) = value.scalar("the header's value as text") else { continue };
        match HeaderValue::from_str(text) {
            Ok(text) => headers.push((name, text)),
            Err(_) => value.refuse("the value holds a character that no header can carry, such as a line break"),
        }
    }
    headers
}

/// Reads names of callers' headers to let through.
pub(super) fn read_forwarded(item: &Item<'_>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    let items = item.items();
    refuse_too_many(item, items.len());
    for element in items.into_iter().take(MAX_HEADERS) {
        let Some(name) = element.text("the name of a header").and_then(|text| parse_name(&element, text)) else {
            continue;
        };
        if CREDENTIAL_HEADERS.contains(&name) {
            element.refuse(format!("`{name}` carries the caller's own credential and is never forwarded"));
        }
        names.push(name);
    }
    names
}

fn parse_name(item: &Item<'_>, text: &str) -> Option<HeaderName> {
    let Ok(name) = HeaderName::try_from(text) else {
        item.refuse_text(text, "the name of a header");
        return None;
    };
    if FRAMING.contains(&name.as_str()) {
        item.refuse(format!("`{name}` belongs to the connection and is set by the gateway"));
        return None;
    }
    Some(name)
}
