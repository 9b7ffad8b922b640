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
    document: Option<Bytes>,
}

impl Reply {
    /// A document.
    pub(crate) fn json(status: StatusCode, document: &impl Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(text) => Self { status, headers: HeaderMap::new(), document: Some(text.into()) },
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an answer cannot be written as JSON");
                Self::empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// No document.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), document: None }
    }

    /// The answer as HTTP. It may hold a key, and always holds what only administrators should see, so nobody keeps it.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let Self { status, mut headers, document } = self;
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if document.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let mut response = Response::new(Full::new(document.unwrap_or_default()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}
