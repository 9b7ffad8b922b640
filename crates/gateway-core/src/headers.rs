//! Which headers cross the gateway, in both directions.
//!
//! Towards the upstream only listed headers go; towards the caller everything goes that says something about the
//! answer and nothing about the connection, the provider's account or its infrastructure.

use gateway_call::CREDENTIAL_HEADERS;
use http::header::{self, GetAll, HeaderMap, HeaderName, HeaderValue};

pub(crate) mod name;
pub(crate) mod ratelimit;
pub(crate) mod text;

/// Caller headers that reach every upstream. A static, because a constant of names is built and dropped anew wherever it is used.
static FORWARDED: [HeaderName; 9] = [
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    header::ACCEPT_LANGUAGE,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("idempotency-key"),
];

/// Copies what may cross from a caller's headers into an upstream request's: the standard list and the provider's.
///
/// What `connection` names belongs to the caller's connection (RFC 9110, section 7.6.1) and stays behind, listed or not.
pub(crate) fn forward_request(from: &HeaderMap, extra: &[HeaderName], to: &mut HeaderMap) {
    let is_listed = |name: &&HeaderName| FORWARDED.contains(name) || extra.contains(name);
    for name in from.keys().filter(is_listed) {
        // What the administrator configured for the provider stands already and wins.
        let may_cross = !CREDENTIAL_HEADERS.contains(name) && !to.contains_key(name);
        if may_cross && !is_named(&from.get_all(header::CONNECTION), name) {
            for value in from.get_all(name) {
                to.append(name.clone(), value.clone());
            }
        }
    }
}

/// The upstream's answer headers as the caller gets them.
///
/// Left out: headers of the connection (RFC 9110, section 7.6.1), framing, which is made anew, cookies, everything that
/// describes the provider's server, cross-origin rules, which are the gateway's own, and the gateway's own names. The
/// provider's rate limits are its account's, not the caller's, so they come back under `x-upstream-`. Of an answer whose bytes
/// were edited, so is what describes them.
pub(crate) fn forward_answer(from: &HeaderMap, is_edited: bool) -> HeaderMap {
    let connection = from.get_all(header::CONNECTION);
    let mut to = HeaderMap::with_capacity(from.len() + OWN);
    for (name, value) in from {
        match answer_rule(name) {
            Rule::Describe if is_edited => {}
            Rule::Keep | Rule::Describe if !is_named(&connection, name) => {
                to.append(name.clone(), value.clone());
            }
            Rule::Prefix => {
                if let Ok(name) = HeaderName::try_from(format!("x-upstream-{name}")) {
                    to.append(name, value.clone());
                }
            }
            _ => {}
        }
    }
    to
}

/// How many headers of its own the gateway adds to an answer, less those that nearly every upstream's loses here: model, provider,
/// attempts, identifier, its own time and three of a limit, less the length.
const OWN: usize = 7;

enum Rule {
    Keep,
    /// It describes the very bytes of the answer.
    Describe,
    Prefix,
    Drop,
}

fn answer_rule(name: &HeaderName) -> Rule {
    match name.as_str() {
        "connection"
        | "content-length"
        | "date"
        | "proxy-authenticate"
        | "proxy-authentication-info"
        | "server"
        | "set-cookie"
        | "strict-transport-security"
        | "te"
        | "trailer"
        | "transfer-encoding"
        | "upgrade"
        | "via"
        | "www-authenticate"
        | "alt-svc"
        | "keep-alive"
        | "proxy-connection"
        | "set-cookie2"
        | "x-powered-by"
        | "x-should-retry" => Rule::Drop,
        "etag" | "content-md5" | "digest" | "content-digest" | "repr-digest" => Rule::Describe,
        "content-type" => Rule::Keep,
        "x-request-id" => Rule::Prefix,
        text if is_about_limits(text) => Rule::Prefix,
        text if ["x-gateway-", "x-upstream-", "access-control-"].iter().any(|own| text.starts_with(own)) => Rule::Drop,
        _ => Rule::Keep,
    }
}

/// Whether a name has `ratelimit` in it. A search for a text prepares more than one so short is worth.
fn is_about_limits(name: &str) -> bool {
    const LIMITS: &[u8] = b"ratelimit";
    name.as_bytes().windows(LIMITS.len()).any(|part| part == LIMITS)
}

/// Whether the values of `connection` name a header.
fn is_named(connection: &GetAll<'_, HeaderValue>, name: &HeaderName) -> bool {
    connection
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|options| options.split(',').any(|option| option.trim().eq_ignore_ascii_case(name.as_str())))
}

/// The media type of JSON.
pub(crate) const JSON: &str = "application/json";

/// The media type of a body without its parameters; empty if none is given (RFC 9110, section 8.3.1).
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return "" };
    // What nearly every body says; to look for parameters and for other characters takes ten times as long.
    if value.as_bytes() == JSON.as_bytes() {
        return JSON;
    }
    value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// `via` for the next hop (RFC 9110, section 7.6.3): where the request has been, and then this gateway.
pub(crate) fn via(from: &HeaderMap, own: &HeaderValue) -> HeaderValue {
    let mut hops = Vec::new();
    for value in from.get_all(header::VIA) {
        hops.extend_from_slice(value.as_bytes());
        hops.extend_from_slice(b", ");
    }
    if hops.is_empty() {
        return own.clone();
    }
    hops.extend_from_slice(own.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(hops)).unwrap_or_else(|_| own.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_listed_headers_reach_the_upstream() {
        let from = map(&[
            ("openai-project", "p"),
            ("authorization", "Bearer caller"),
            ("cookie", "c"),
            ("x-trace-team", "t"),
            ("x-other", "o"),
            ("traceparent", "00-1"),
            ("tracestate", "a=b"),
            ("connection", "keep-alive, Tracestate"),
        ]);
        let mut to = map(&[("openai-project", "configured")]);
        let extra = [HeaderName::from_static("x-trace-team"), header::AUTHORIZATION];
        forward_request(&from, &extra, &mut to);
        assert_eq!(to, map(&[("openai-project", "configured"), ("traceparent", "00-1"), ("x-trace-team", "t")]));
    }

    #[test]
    fn answers_lose_what_is_not_the_callers_business() {
        let from = map(&[
            ("content-type", "application/json"),
            ("set-cookie", "s"),
            ("server", "nginx"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hop, close"),
            ("x-hop", "1"),
            ("x-ratelimit-remaining-requests", "9"),
            ("x-gateway-model", "forged"),
            ("access-control-allow-origin", "*"),
            ("openai-processing-ms", "12"),
            ("x-request-id", "upstream's"),
        ]);
        let expected = map(&[
            ("content-type", "application/json"),
            ("x-upstream-x-ratelimit-remaining-requests", "9"),
            ("openai-processing-ms", "12"),
            ("x-upstream-x-request-id", "upstream's"),
        ]);
        assert_eq!(forward_answer(&from, false), expected);
    }

    #[test]
    fn what_describes_the_bytes_goes_with_them() {
        let from = map(&[("etag", "1"), ("content-digest", "d"), ("content-type", "text/plain")]);
        assert_eq!(forward_answer(&from, false), from);
        assert_eq!(forward_answer(&from, true), map(&[("content-type", "text/plain")]));
    }

    #[test]
    fn a_media_type_stands_before_its_parameters() {
        for (value, expected) in [
            ("application/json", "application/json"),
            (" application/json ; charset=utf-8", "application/json"),
            ("Text/Plain", "Text/Plain"),
            ("", ""),
        ] {
            assert_eq!(media_type(&map(&[("content-type", value)])), expected);
        }
        assert_eq!(media_type(&HeaderMap::new()), "");
    }

    #[test]
    fn via_grows_by_one_hop() {
        let own = HeaderValue::from_static("1.1 gw-1");
        assert_eq!(via(&map(&[]), &own), "1.1 gw-1");
        assert_eq!(via(&map(&[("via", "1.0 a"), ("via", "1.1 b")]), &own), "1.0 a, 1.1 b, 1.1 gw-1");
    }
}
