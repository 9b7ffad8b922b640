//! Answers: small, whole, and never kept by anybody on the way.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

/// An answer that is about to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    pub(crate) headers: HeaderMap,
    content: Bytes,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Reply {
    /// A document.
    pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(text) => Self { status, ..Self::text(JSON, text.into()) },
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an answer cannot be written as JSON");
                Self::empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// No document.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), content: Bytes::new() }
    }

    /// Some content of this type.
    pub(crate) fn text(kind: HeaderValue, content: Bytes) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        Self { status: StatusCode::OK, headers, content }
    }

    /// What a client has already: nothing but the headers that it keeps what it has by (RFC 9110, section 15.4.5).
    pub(crate) fn not_modified(mut self) -> Self {
        self.headers.remove(header::CONTENT_TYPE);
        self.headers.remove(header::CONTENT_ENCODING);
        Self { headers: self.headers, ..Self::empty(StatusCode::NOT_MODIFIED) }
    }

    /// The answer as HTTP. Unless it says otherwise itself, nobody keeps it: it may hold a key, and always holds what only
    /// administrators should see.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let Self { status, mut headers, content } = self;
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let mut response = Response::new(Full::new(content));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}
