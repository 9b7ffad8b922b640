//! The head of an answer: status and headers around a body.

use bytes::Bytes;
use gateway_protocol::{Segments, Trail, refusal_body};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::attempt::Committed;
use crate::headers::{forward_answer, ratelimit};
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
    let Committed { status, headers, content, model, provider, .. } = committed;
    let mut headers = forward_answer(&headers);
    if let Some(model) = model {
        insert(&mut headers, "x-gateway-model", model.as_str());
    }
    insert(&mut headers, "x-gateway-provider", &provider);
    if matches!(content, Content::Events(_)) {
        // Proxies on the way, nginx above all, would otherwise collect the stream before passing it on.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    Answer { status, headers, content }
}

impl Answer {
    /// A JSON document of the gateway's own.
    pub(crate) fn json(status: StatusCode, document: Bytes) -> Self {
        let mut answer = Self::empty(status);
        answer.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.content = Content::Whole(Segments::from(document).into_iter());
        answer
    }

    /// No body at all.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), content: Content::Whole(Segments::default().into_iter()) }
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
    pub(crate) fn into_response(self, settlement: Option<Settlement>) -> Response<AnswerBody> {
        let Self { status, mut headers, content } = self;
        let settlement = settlement.map(|mut settlement| {
            let attempts = settlement.attempts().len();
            if attempts > 0 {
                headers.insert("x-gateway-attempts", HeaderValue::from(attempts));
            }
            ratelimit::tell(settlement.levels(), &mut headers);
            if settlement.ends_connection() {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let overhead = settlement.note_answer(status, matches!(content, Content::Events(_)));
            let micros = u64::try_from(overhead.as_micros()).unwrap_or(u64::MAX);
            headers.insert("x-gateway-overhead-us", HeaderValue::from(micros));
            settlement
        });
        let mut response = Response::new(AnswerBody::new(content, settlement));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// Inserts a name that may hold any text but control characters, which the parsers of names have refused.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}
