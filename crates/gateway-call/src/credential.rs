//! The headers in which keys travel.

use http::header::{self, HeaderName};

/// Headers that may hold a caller's or a provider's credentials. They never cross the gateway, and no configuration can
/// let them.
pub const CREDENTIAL_HEADERS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];
