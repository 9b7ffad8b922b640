//! What a request's head says of it.

use http::Method;

/// What a request's head says of it before anything else is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heading {
    /// The method, as logs and metrics call it.
    pub(crate) method: &'static str,
    /// The path served, as a constant.
    pub(crate) path: &'static str,
}

impl Heading {
    /// That of a request for a path that is served.
    pub(crate) fn new(method: &Method, path: &'static str) -> Self {
        const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
        let method = KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other");
        Self { method, path }
    }
}
