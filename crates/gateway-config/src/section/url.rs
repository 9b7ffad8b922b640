//! Upstream URLs. A refused one is not repeated if it holds credentials.

use gateway_upstream::Origin;
use http::Uri;
use http::uri::Scheme;
use rustls_pki_types::ServerName;

use crate::item::Item;

/// Whether a URL may end in a query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    Allowed,
    Refused,
}

const EXPECTED: &str = "an absolute URL such as https://api.example.com/v1";

/// The longest URL, in bytes: what every server is advised to take (RFC 9110, section 4.1). Far below what a URL of this
/// process may be, so paths can follow.
const MAX_URL: usize = 8_000;

/// An absolute http or https URL without user information and fragment; no trailing slash, unless it is the whole path.
pub(super) fn read(item: &Item<'_>, query: Query) -> Option<Uri> {
    let text = item.text(EXPECTED)?;
    if text.len() > MAX_URL {
        item.refuse(format!("the URL has {} bytes; at most {MAX_URL} may be", text.len()));
        return None;
    }
    if let Some(problem) = forbidden_part(text, query) {
        item.refuse(problem);
        return None;
    }
    let uri = parse(text);
    if uri.is_none() {
        item.refuse_text(text, EXPECTED);
    }
    uri
}

fn forbidden_part(text: &str, query: Query) -> Option<&'static str> {
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some("the URL holds a user or password; give the credential as `api_key` or in `headers`");
    }
    if text.contains('#') {
        return Some("the URL has a fragment (`#…`), which is never sent; remove it");
    }
    if query == Query::Refused && text.contains('?') {
        return Some("the URL has a query (`?…`), but paths are appended to it; remove the query");
    }
    None
}

fn parse(text: &str) -> Option<Uri> {
    let (address, query) = text.split_once('?').map_or((text, None), |(address, query)| (address, Some(query)));
    let trimmed = address.trim_end_matches('/');
    let uri: Uri = match query {
        Some(query) => format!("{trimmed}?{query}").try_into().ok()?,
        None => trimmed.parse().ok()?,
    };
    let is_web = uri.scheme() == Some(&Scheme::HTTPS) || uri.scheme() == Some(&Scheme::HTTP);
    let authority = uri.authority()?;
    // `http::Uri` accepts a port that is no port.
    let has_valid_port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        _ => authority.port_u16().is_some_and(|port| port != 0),
    };
    (is_web && has_valid_port && has_valid_host(&uri)).then_some(uri)
}

/// Whether connections can be opened to the host: it is there, and it can be the name in a certificate where one is asked for.
fn has_valid_host(uri: &Uri) -> bool {
    let is_name = |origin: &Origin| !origin.is_https() || ServerName::try_from(origin.host()).is_ok();
    Origin::from_uri(uri).is_ok_and(|origin| is_name(&origin))
}
