//! The head of an answer: status and headers around a body.

use bytes::Bytes;
use gateway_protocol::{Trail, refusal_body};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::attempt::Committed;
use crate::headers::text::number;
use crate::headers::{forward_answer, name, ratelimit};
use crate::rejection::Rejection;
use crate::relay::{AnswerBody, Content};
use crate::settle::Settlement;

/// An answer that has not met its account yet.
pub(crate) struct Answer {
    status: StatusCode,
    /// Its headers, without those that every answer has.
    pub(crate) headers: HeaderMap,
    content: Content,
}

/// The answer that an attempt was committed to, with the names of the model and the provider that served it. What is
/// passed through has no model that the gateway would know.
pub(crate) fn relay(committed: Committed) -> Answer {
    let Committed { status, headers, content, is_edited, model, provider, .. } = committed;
    let mut headers = forward_answer(&headers, is_edited);
    // A name may hold any text but control characters, which the parsers of names have refused.
    if let Some(model) = model.and_then(|model| HeaderValue::from_bytes(model.as_str().as_bytes()).ok()) {
        headers.insert(name::MODEL, model);
    }
    if let Some(provider) = provider {
        headers.insert(name::PROVIDER, provider);
    }
    if matches!(content, Content::Events(_)) {
        // Proxies on the way, nginx above all, would otherwise collect the stream before passing it on.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(name::ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    Answer { status, headers, content }
}

impl Answer {
    /// A JSON document of the gateway's own.
    pub(crate) fn json(status: StatusCode, document: Bytes) -> Self {
        let mut answer = Self::empty(status);
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.content = Content::from(document);
        answer
    }

    /// No body at all.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), content: Content::NONE }
    }

    /// What a rejected caller gets, with the trail of the attempts if they are why.
    pub(crate) fn rejection(rejection: &Rejection, settlement: &mut Settlement) -> Self {
        settlement.note_error(rejection.code());
        settlement.note_refusal(rejection.refused_by());
        let trail = matches!(rejection, Rejection::Upstream { .. })
            .then(|| Trail { attempts: settlement.attempts().to_vec(), request_id: settlement.request_id().clone() });
        let document = refusal_body(&rejection.refusal(trail));
        let mut answer = Self::json(rejection.status(), document);
        answer.headers.extend(rejection.headers());
        answer
    }

    /// The response, which settles the account when its body ends.
    pub(crate) fn into_response(self, settlement: Option<Box<Settlement>>) -> Response<AnswerBody> {
        let Self { status, mut headers, content } = self;
        let settlement = settlement.map(|mut settlement| {
            match settlement.attempts().len() {
                0 => {}
                1 => _ = headers.insert(name::ATTEMPTS, HeaderValue::from_static("1")),
                attempts => _ = headers.insert(name::ATTEMPTS, HeaderValue::from(attempts)),
            }
            ratelimit::tell(settlement.levels(), &mut headers);
            if settlement.ends_connection() {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let overhead = settlement.note_answer(status, matches!(content, Content::Events(_)));
            let micros = u64::try_from(overhead.as_micros()).unwrap_or(u64::MAX);
            headers.insert(name::OVERHEAD, number(micros));
            settlement
        });
        let mut response = Response::new(AnswerBody::new(content, settlement));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}
