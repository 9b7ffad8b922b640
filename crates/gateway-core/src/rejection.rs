//! Why a call ended without an upstream's answer, and the only place where that becomes HTTP.
//!
//! The message of a rejection is for the caller: it says what to do next and never holds a key, an upstream's address
//! or a path of this machine. What the operator needs beyond that goes to the log where the error arises.

use std::time::Duration;

use gateway_call::{Outcome, TimeoutPhase};
use gateway_protocol::{Refusal, RequestError, Trail};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Every way in which the gateway itself ends a call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The request's head breaks a rule of HTTP or of this gateway.
    #[error("{problem}")]
    MalformedHead {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The body cannot be read as a call.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The body's type is not one that the endpoint takes.
    #[error("send the body as `{expected}`, not compressed")]
    UnsupportedMediaType {
        /// The type that would be read.
        expected: &'static str,
    },
    /// The body is larger than the administrator allows.
    #[error("the body is larger than this gateway accepts, which is {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The caller stopped sending its body.
    #[error("the body did not arrive in time; nothing came for {}", seconds(*.waited))]
    BodyTimeout {
        /// How long the gateway waited for the next part.
        waited: Duration,
    },
    /// The caller's connection broke while it sent its body.
    #[error("the body ended before it was complete")]
    BodyBroken,
    /// The head has too many or too long header lines.
    #[error("the request's head is too large; 64 KiB and 100 header lines are accepted")]
    HeadTooLarge,
    /// The presented key is not good enough.
    #[error(transparent)]
    Unauthenticated(#[from] KeyFault),
    /// The key may not use the model.
    #[error("this key may not use the model `{model}`; GET /v1/models lists those that it may")]
    ModelNotAllowed {
        /// The model, as the caller spelled it.
        model: String,
    },
    /// The key may not use paths whose models the gateway does not see.
    #[error("this key is limited to certain models, so it may use only paths that this gateway knows")]
    PassthroughNotAllowed,
    /// Nothing serves the model.
    #[error("the model `{model}` does not exist{}", suggestion(near))]
    ModelNotFound {
        /// The model, as the caller spelled it.
        model: String,
        /// Names that the key may use and that look alike.
        near: Vec<String>,
    },
    /// No such path.
    #[error("there is nothing at this path; calls go to /v1/chat/completions and its siblings")]
    PathNotFound,
    /// The path exists, the method does not.
    #[error("this path does not take that method; it takes {allow}")]
    MethodNotAllowed {
        /// The value of `allow`.
        allow: &'static str,
    },
    /// The request has passed this gateway before.
    #[error("the request has passed this gateway before: an upstream of it leads back to it")]
    LoopDetected,
    /// The key store could not say whether the key is good.
    #[error("the key cannot be checked right now; try again shortly")]
    StoreUnavailable,
    /// The upstream did not answer usefully.
    #[error("{}", failure_message(*.outcome))]
    Upstream {
        /// What came of the last attempt.
        outcome: Outcome,
    },
}

/// What is wrong with the key that a caller presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// None was presented.
    #[error("no API key; send `Authorization: Bearer KEY`, `x-api-key: KEY` or `api-key: KEY`")]
    Missing,
    /// It is not known.
    #[error("the API key is not known here")]
    Unknown,
    /// Several were presented, and they differ.
    #[error("the request carries several API keys that differ; send one")]
    Conflicting,
    /// It is known and switched off.
    #[error("the API key is disabled")]
    Disabled,
}

/// Status, `type` and `code` of a rejection.
struct Verdict(StatusCode, &'static str, Option<&'static str>);

const INVALID_REQUEST: &str = "invalid_request_error";

impl Rejection {
    /// A rejection of the head.
    pub(crate) fn malformed_head(problem: &'static str) -> Self {
        Self::MalformedHead { problem }
    }

    /// The status that the caller gets.
    pub fn status(&self) -> StatusCode {
        self.verdict().0
    }

    /// The `code` that the caller gets.
    pub fn code(&self) -> Option<&'static str> {
        self.verdict().2
    }

    /// The rejection in the words of the caller's protocol.
    ///
    /// `trail` is what was tried before the call failed.
    pub(crate) fn refusal(&self, trail: Option<Trail>) -> Refusal {
        let Verdict(status, kind, code) = self.verdict();
        Refusal { status, kind, code, message: self.to_string(), param: self.param(), attempts: trail }
    }

    /// Whether the connection has to be closed, because the rest of the request cannot be trusted or is not wanted.
    fn closes(&self) -> bool {
        matches!(
            self,
            Self::MalformedHead { .. }
                | Self::HeadTooLarge
                | Self::BodyTooLarge { .. }
                | Self::BodyTimeout { .. }
                | Self::BodyBroken
        )
    }

    /// Headers that belong to this rejection, besides those of every answer.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.closes() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        match self {
            Self::MethodNotAllowed { allow } => {
                headers.insert(header::ALLOW, HeaderValue::from_static(allow));
            }
            Self::Unauthenticated(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::StoreUnavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Upstream { outcome } => {
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
                if let Outcome::RateLimited { retry_after: Some(wait) }
                | Outcome::Overloaded { retry_after: Some(wait) } = outcome
                {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*wait)));
                }
            }
            _ => {}
        }
        headers
    }

    fn param(&self) -> Option<String> {
        match self {
            Self::Request(error) => error.param().map(str::to_owned),
            Self::ModelNotAllowed { .. } | Self::ModelNotFound { .. } => Some("model".to_owned()),
            _ => None,
        }
    }

    fn verdict(&self) -> Verdict {
        let bad_request = |code| Verdict(StatusCode::BAD_REQUEST, INVALID_REQUEST, code);
        let invalid = |status, code| Verdict(status, INVALID_REQUEST, Some(code));
        match self {
            Self::MalformedHead { .. } | Self::BodyBroken => bad_request(None),
            Self::Request(error) => bad_request(error.code()),
            Self::UnsupportedMediaType { .. } => invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::BodyTooLarge { .. } => invalid(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            Self::BodyTimeout { .. } => invalid(StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Self::HeadTooLarge => invalid(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
            Self::Unauthenticated(fault) => {
                Verdict(StatusCode::UNAUTHORIZED, "authentication_error", Some(fault.code()))
            }
            Self::ModelNotAllowed { .. } | Self::PassthroughNotAllowed => {
                Verdict(StatusCode::FORBIDDEN, "permission_error", Some("model_not_allowed"))
            }
            Self::ModelNotFound { .. } => invalid(StatusCode::NOT_FOUND, "model_not_found"),
            Self::PathNotFound => invalid(StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed { .. } => invalid(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::LoopDetected => invalid(StatusCode::LOOP_DETECTED, "loop_detected"),
            Self::StoreUnavailable => {
                Verdict(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", Some("store_unavailable"))
            }
            Self::Upstream { outcome } => upstream_verdict(*outcome),
        }
    }
}

impl KeyFault {
    fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing_api_key",
            Self::Unknown | Self::Conflicting => "invalid_api_key",
            Self::Disabled => "disabled_api_key",
        }
    }
}

fn upstream_verdict(outcome: Outcome) -> Verdict {
    let code = failure_code(outcome);
    match outcome {
        Outcome::Timeout(_) => Verdict(StatusCode::GATEWAY_TIMEOUT, "timeout_error", Some(code)),
        _ => Verdict(StatusCode::BAD_GATEWAY, "upstream_error", Some(code)),
    }
}

/// The `code` for a failed attempt, in an error body and in a stream's last frame alike.
pub(crate) fn failure_code(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::CredentialsRejected => "upstream_credentials_rejected",
        Outcome::Truncated => "upstream_truncated",
        Outcome::InvalidResponse => "upstream_invalid_response",
        Outcome::Timeout(_) => outcome.name(),
        _ => "upstream_error",
    }
}

/// The public sentence for a failed attempt.
pub(crate) fn failure_message(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::CredentialsRejected => {
            "the upstream rejected the gateway's own credentials; tell the gateway's administrator"
        }
        Outcome::RateLimited { .. } => "the upstream limits the gateway's rate; try again later",
        Outcome::Overloaded { .. } => "the upstream is overloaded; try again later",
        Outcome::ModelMissing => "the upstream does not know the model; tell the gateway's administrator",
        Outcome::ServerError => "the upstream failed",
        Outcome::InvalidResponse => "the upstream's answer was not what its protocol promises",
        Outcome::Transport => "the connection to the upstream failed",
        Outcome::Truncated => "the upstream's answer ended before it was complete",
        Outcome::Timeout(TimeoutPhase::Connect) => "the upstream could not be reached in time",
        Outcome::Timeout(TimeoutPhase::Headers) => "the upstream did not begin to answer in time",
        Outcome::Timeout(TimeoutPhase::FirstToken) => "the upstream sent no content in time",
        Outcome::Timeout(TimeoutPhase::Idle) => "the upstream stopped sending",
        Outcome::Timeout(TimeoutPhase::Total) => "the call took longer than it may",
        _ => "the upstream did not answer usefully",
    }
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => "; GET /v1/models lists those that do".to_owned(),
        _ => format!("; did you mean `{}`?", near.join("` or `")),
    }
}

/// Rounded up: a caller who waits that long has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
