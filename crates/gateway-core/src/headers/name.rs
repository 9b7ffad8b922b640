//! Names that HTTP does not know and the gateway looks for or gives.
//!
//! A name given as text is parsed anew wherever it is used, which is most of what it costs to look a header up or to insert it.

use http::HeaderName;

/// The identifier of a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where callers may put their key, beside `authorization`.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The same, as Azure has it.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Which model answers.
pub(crate) const MODEL: HeaderName = HeaderName::from_static("x-gateway-model");

/// Which provider does.
pub(crate) const PROVIDER: HeaderName = HeaderName::from_static("x-gateway-provider");

/// How many attempts there were.
pub(crate) const ATTEMPTS: HeaderName = HeaderName::from_static("x-gateway-attempts");

/// How much of the time was the gateway's own, in microseconds.
pub(crate) const OVERHEAD: HeaderName = HeaderName::from_static("x-gateway-overhead-us");

/// Whether an nginx on the way collects the answer before it passes it on.
pub(crate) const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
