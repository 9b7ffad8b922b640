//! Cross-origin rules, for callers that are pages in a browser (Fetch Standard, section 3.3).

use gateway_config::Cors;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};

/// Response headers that a page may read besides the safelisted ones.
const EXPOSED: &str = "x-request-id, x-gateway-model, x-gateway-provider, x-gateway-attempts, x-gateway-overhead-us, \
                       retry-after, retry-after-ms, x-should-retry";

/// The rules of one configuration, with their header values made once.
#[derive(Debug)]
pub(crate) struct CorsRules {
    origins: Option<Vec<HeaderValue>>,
    headers: Option<HeaderValue>,
    max_age: HeaderValue,
}

impl CorsRules {
    /// Rules from their configuration; an origin or header name that cannot stand in a header matches nothing.
    pub(crate) fn new(cors: &Cors) -> Self {
        let value = |text: &String| HeaderValue::from_str(text).ok();
        Self {
            origins: cors.allowed_origins.as_ref().map(|origins| origins.iter().filter_map(value).collect()),
            headers: cors.allowed_headers.as_ref().and_then(|names| value(&names.join(", "))),
            max_age: HeaderValue::from(cors.max_age.as_secs()),
        }
    }

    /// Whether the request is a browser's question before the actual one.
    pub(crate) fn is_preflight(head: &Parts) -> bool {
        head.method == Method::OPTIONS
            && head.headers.contains_key(header::ORIGIN)
            && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// Headers of the answer to a preflight, besides those of [`CorsRules::allow`].
    pub(crate) fn answer_preflight(&self, request: &HeaderMap, methods: &'static str, answer: &mut HeaderMap) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        // `*` would leave out `authorization`, so any header means the very ones that were asked for.
        let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(headers) = self.headers.as_ref().or(asked) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
    }

    /// Lets the page at `origin` read the answer, if the rules do.
    ///
    /// Where the answer depends on the origin it says so even if there is none, or a cache might hand it to a page
    /// (Fetch Standard, section 3.3.5).
    pub(crate) fn allow(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if self.origins.is_some() {
            answer.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = origin else { return };
        let allowed = match &self.origins {
            None => HeaderValue::from_static("*"),
            Some(origins) if origins.contains(origin) => origin.clone(),
            Some(_) => return,
        };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}
