//! The request that goes to an upstream: made anew from the configuration and the call, never copied from the caller's.

use gateway_call::Endpoint;
use gateway_protocol::Template;
use gateway_upstream::{BoxError, RequestBody};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::BodyExt;

use crate::headers;
use crate::ingest::{BoundedBody, Payload, Upload};
use crate::plan::Aim;
use crate::rejection::Rejection;
use crate::service::RequestSource;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is sent for a call, apart from what depends on the target.
pub(crate) struct Outgoing<'a> {
    endpoint: Endpoint,
    template: Template,
    /// Whatever of the body is still arriving.
    upload: Option<Upload>,
    caller: &'a Parts,
    via: &'a HeaderValue,
}

/// What to send for a call whose payload was read.
pub(crate) fn encode<'a, B: RequestSource>(
    endpoint: Endpoint,
    payload: Payload<B>,
    caller: &'a Parts,
    via: &'a HeaderValue,
) -> Outgoing<'a> {
    let (template, upload) = match payload {
        Payload::Whole(template) => (template, None),
        Payload::Streaming(template, rest) => (template, Some(Upload::new(*rest))),
    };
    Outgoing { endpoint, template, upload, caller, via }
}

impl Outgoing<'_> {
    /// Whether a target is to be asked for what the stream takes, though the caller does not ask for it: what it reports is for
    /// the gateway alone.
    pub(crate) fn can_ask_usage(&self, aim: &Aim<'_>) -> bool {
        self.template.can_ask_usage() && aim.provider.state.usage_refusals.can_ask(&aim.upstream_model)
    }

    /// Whether any number of requests can be made, also beside each other: nothing of the body is still arriving.
    pub(crate) fn is_whole(&self) -> bool {
        self.upload.is_none()
    }

    /// Whether no request can be made any more, because an upstream has begun to read what streams.
    pub(crate) fn is_spent(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::is_taken)
    }

    /// The request for one attempt, with one of the provider's credentials, which may ask for the usage.
    pub(crate) fn request(&self, aim: &Aim<'_>, credential: usize, asks_usage: bool) -> Request<RequestBody> {
        let mut headers = base_headers(aim, credential, self.caller, self.via);
        let filled = if asks_usage {
            self.template.fill_asking_usage(&aim.upstream_model)
        } else {
            self.template.fill(&aim.upstream_model)
        };
        let body = match &self.upload {
            None => {
                headers.insert(header::CONTENT_TYPE, JSON);
                RequestBody::from_segments(filled)
            }
            Some(upload) => {
                // Holds the boundary, which is the caller's choice.
                copy(&self.caller.headers, header::CONTENT_TYPE, &mut headers);
                RequestBody::streaming(upload.behind(filled))
            }
        };
        request(Method::POST, aim.provider.url(self.endpoint).clone(), headers, body)
    }
}

/// What is sent for a request that is passed through as it is.
pub(crate) struct PassedThrough<'a, B> {
    pub(crate) url: Uri,
    pub(crate) body: BoundedBody<B>,
    pub(crate) caller: &'a Parts,
    pub(crate) via: &'a HeaderValue,
}

impl<B: RequestSource> PassedThrough<'_, B> {
    /// The request for the one attempt, with one of the provider's credentials.
    pub(crate) fn request(self, aim: &Aim<'_>, credential: usize) -> Request<RequestBody> {
        let Self { url, body, caller, via } = self;
        let mut headers = base_headers(aim, credential, caller, via);
        copy(&caller.headers, header::CONTENT_TYPE, &mut headers);
        copy(&caller.headers, header::ACCEPT, &mut headers);
        let body = if http_body::Body::is_end_stream(&body) {
            RequestBody::empty()
        } else {
            RequestBody::streaming(body.map_err(|rejection: Rejection| BoxError::from(rejection)))
        };
        request(caller.method.clone(), url, headers, body)
    }
}

/// How many headers are added to those that every request to a provider has: `via` and `content-type`. Room for more would be
/// twice as much.
const ADDED: usize = 2;

fn base_headers(aim: &Aim<'_>, credential: usize, caller: &Parts, via: &HeaderValue) -> HeaderMap {
    let base = aim.provider.headers(credential);
    // A clone of the map would have no room for anything else, and grow.
    let mut headers = HeaderMap::with_capacity(base.len() + ADDED);
    headers.extend(base.iter().map(|(name, value)| (name.clone(), value.clone())));
    headers::forward_request(&caller.headers, &aim.provider.forward_headers, &mut headers);
    headers.insert(header::VIA, headers::via(&caller.headers, via));
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
