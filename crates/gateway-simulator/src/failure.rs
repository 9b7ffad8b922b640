//! Errors as OpenAI writes them.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::behaviour::Behaviour;
use crate::body::AnswerBody;

/// An error to answer with.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) param: Option<&'static str>,
    pub(crate) code: Option<Cow<'static, str>>,
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Member<'a>,
}

#[derive(Serialize)]
struct Member<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: Option<&'a str>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None, retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>, param: Option<&'static str>) -> Self {
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// The failure that a behaviour asks for.
    pub(crate) fn simulated(status: u16, behaviour: Behaviour) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (message, usual) = match status {
            StatusCode::UNAUTHORIZED => ("Incorrect API key provided: sim-****.", Some("invalid_api_key")),
            StatusCode::NOT_FOUND => {
                ("The model does not exist or you do not have access to it.", Some("model_not_found"))
            }
            StatusCode::TOO_MANY_REQUESTS => ("Rate limit reached for requests.", Some("rate_limit_exceeded")),
            StatusCode::SERVICE_UNAVAILABLE => ("The engine is currently overloaded, please try again later.", None),
            status if status.is_server_error() => ("The server had an error while processing your request.", None),
            _ => ("The request was refused, as its model name asks for.", None),
        };
        let code = behaviour.code.map(Cow::Owned).or(usual.map(Cow::Borrowed));
        Self { code, retry_after: behaviour.retry_after, ..Self::new(status, message) }
    }

    pub(crate) fn into_response(self) -> Response<AnswerBody> {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "requests",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let member = Member { message: &self.message, r#type: kind, param: self.param, code: self.code.as_deref() };
        // Strings and options of strings always serialise.
        let body = serde_json::to_vec(&Envelope { error: member }).unwrap_or_default();
        let mut response = Response::new(AnswerBody::whole(Bytes::from(body)));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = self.retry_after {
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000)));
            response.headers_mut().insert(HeaderName::from_static("retry-after-ms"), HeaderValue::from(millis));
        }
        response
    }
}
