//! The request that goes to an upstream: made anew from the configuration and the call, never copied from the caller's.

use gateway_call::Endpoint;
use gateway_upstream::{BoxError, RequestBody};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::BodyExt;

use crate::headers;
use crate::ingest::{BoundedBody, Payload};
use crate::plan::Plan;
use crate::rejection::Rejection;
use crate::service::RequestSource;
use crate::snapshot::ProviderRuntime;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The request for one attempt at a call.
pub(crate) fn encode<B: RequestSource>(
    plan: &Plan<'_>,
    endpoint: Endpoint,
    payload: Payload<B>,
    caller: &Parts,
    via: &HeaderValue,
) -> Request<RequestBody> {
    let mut headers = base_headers(plan.provider, &caller.headers, via);
    let body = match payload {
        Payload::Whole(template) => {
            headers.insert(header::CONTENT_TYPE, JSON);
            RequestBody::from_segments(template.fill(&plan.upstream_model))
        }
        Payload::Streaming(template, rest) => {
            // Holds the boundary, which is the caller's choice.
            copy(&caller.headers, header::CONTENT_TYPE, &mut headers);
            RequestBody::streaming(rest.behind(template.fill(&plan.upstream_model)))
        }
    };
    request(Method::POST, plan.provider.url(endpoint).clone(), headers, body)
}

/// The request for a call that is passed through as it is.
pub(crate) fn encode_passthrough<B: RequestSource>(
    provider: &ProviderRuntime,
    url: Uri,
    body: BoundedBody<B>,
    caller: &Parts,
    via: &HeaderValue,
) -> Request<RequestBody> {
    let mut headers = base_headers(provider, &caller.headers, via);
    copy(&caller.headers, header::CONTENT_TYPE, &mut headers);
    copy(&caller.headers, header::ACCEPT, &mut headers);
    let body = if http_body::Body::is_end_stream(&body) {
        RequestBody::empty()
    } else {
        RequestBody::streaming(body.map_err(|rejection: Rejection| BoxError::from(rejection)))
    };
    request(caller.method.clone(), url, headers, body)
}

fn base_headers(provider: &ProviderRuntime, caller: &HeaderMap, via: &HeaderValue) -> HeaderMap {
    let mut headers = provider.headers.clone();
    headers::forward_request(caller, &provider.forward_headers, &mut headers);
    headers.insert(header::VIA, headers::via(caller, via));
    headers
}

fn copy(from: &HeaderMap, name: header::HeaderName, to: &mut HeaderMap) {
    if let Some(value) = from.get(&name) {
        to.insert(name, value.clone());
    }
}

fn request(method: Method, url: Uri, headers: HeaderMap, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = url;
    *request.headers_mut() = headers;
    request
}
