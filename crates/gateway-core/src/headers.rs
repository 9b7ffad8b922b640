//! Which headers cross the gateway, in both directions.
//!
//! Towards the upstream only listed headers go; towards the caller everything goes that says something about the
//! answer and nothing about the connection, the provider's account or its infrastructure.

use gateway_call::CREDENTIAL_HEADERS;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

pub(crate) mod ratelimit;

/// Caller headers that reach every upstream.
const FORWARDED: [HeaderName; 9] = [
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
    let may_cross = |name: &&HeaderName| !CREDENTIAL_HEADERS.contains(name) && !named_by_connection(from, name);
    for name in FORWARDED.iter().chain(extra).filter(may_cross) {
        // What the administrator configured for the provider stands already and wins.
        if !to.contains_key(name) {
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
/// provider's rate limits are its account's, not the caller's, so they come back under `x-upstream-`.
pub(crate) fn forward_answer(from: &HeaderMap) -> HeaderMap {
    let mut to = HeaderMap::with_capacity(from.len() + 8);
    for (name, value) in from {
        match answer_rule(name) {
            Rule::Keep if !named_by_connection(from, name) => {
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

enum Rule {
    Keep,
    Prefix,
    Drop,
}

fn answer_rule(name: &HeaderName) -> Rule {
    const DROPPED: [HeaderName; 20] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::DATE,
        header::PROXY_AUTHENTICATE,
        HeaderName::from_static("proxy-authentication-info"),
        header::SERVER,
        header::SET_COOKIE,
        header::STRICT_TRANSPORT_SECURITY,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::VIA,
        header::WWW_AUTHENTICATE,
        header::ALT_SVC,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static("set-cookie2"),
        HeaderName::from_static("x-powered-by"),
        HeaderName::from_static("x-should-retry"),
    ];
    let text = name.as_str();
    if text.contains("ratelimit") || text == "x-request-id" {
        return Rule::Prefix;
    }
    let ours = ["x-gateway-", "x-upstream-", "access-control-"].iter().any(|prefix| text.starts_with(prefix));
    if ours || DROPPED.contains(name) { Rule::Drop } else { Rule::Keep }
}

fn named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|options| options.split(',').any(|option| option.trim().eq_ignore_ascii_case(name.as_str())))
}

/// The media type of a body without its parameters; empty if none is given (RFC 9110, section 8.3.1).
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
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
        assert_eq!(forward_answer(&from), expected);
    }

    #[test]
    fn via_grows_by_one_hop() {
        let own = HeaderValue::from_static("1.1 gw-1");
        assert_eq!(via(&map(&[]), &own), "1.1 gw-1");
        assert_eq!(via(&map(&[("via", "1.0 a"), ("via", "1.1 b")]), &own), "1.0 a, 1.1 b, 1.1 gw-1");
    }
}
