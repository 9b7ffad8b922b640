//! Why a call ended without an upstream's answer, and the only place where that becomes HTTP.
//!
//! The message of a rejection is for the caller: it says in full sentences what is wrong and then what to do next, and it
//! never holds a key, an upstream's address or a path of this machine. What the operator needs beyond that goes to the
//! log where the error arises.

use std::time::Duration;

use gateway_call::{Outcome, RefusedBy, TimeoutPhase};
use gateway_protocol::{Refusal, RequestError, Trail};
use gateway_ratelimit::DenialCause;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Every way in which the gateway itself ends a call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The request's head breaks a rule of HTTP or of this gateway.
    #[error("The request's head is not acceptable: {problem}. Correct it and send the request again.")]
    MalformedHead {
        /// What is wrong with it: a clause of a sentence.
        problem: &'static str,
    },
    /// The body cannot be read as a call.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The body's type is not one that the endpoint takes.
    #[error("The body's `content-type` is not one that this path takes. Send `{expected}`.")]
    UnsupportedMediaType {
        /// The type that would be read.
        expected: &'static str,
    },
    /// The body is compressed, so that nothing can be known of it.
    #[error("This gateway does not read compressed bodies. Send the body without `content-encoding`.")]
    CompressedBody,
    /// The body is larger than the administrator allows.
    #[error("The body is larger than the {limit} bytes that this gateway accepts. Send a smaller one.")]
    BodyTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The caller stopped sending its body, or was too slow with it.
    #[error(
        "The body did not arrive in time: this gateway waited {}. Send the request again, without delay.",
        seconds(*.waited)
    )]
    BodyTimeout {
        /// How long the gateway waited, for the next part or for the whole.
        waited: Duration,
    },
    /// The caller's connection broke while it sent its body.
    #[error("The body broke off before it was complete. Check its framing and send the request again.")]
    BodyBroken,
    /// The head has too many or too long header lines.
    #[error("The request's head is too large. Send at most 64 KiB and 100 header lines.")]
    HeadTooLarge,
    /// The presented key is not good enough.
    #[error(transparent)]
    Unauthenticated(#[from] KeyFault),
    /// The key may not use the model.
    #[error(
        "The API key may not use the model `{model}`. Use one of those listed at /v1/models, or ask this gateway's \
         administrator."
    )]
    ModelNotAllowed {
        /// The model, as the caller spelled it.
        model: String,
    },
    /// The key may not use paths whose models the gateway does not see.
    #[error(
        "The API key is limited to certain models, tokens or money, so it may use only paths that this gateway knows. Ask this \
         gateway's administrator for a key without such limits."
    )]
    PassthroughNotAllowed,
    /// Nothing serves the model.
    #[error("The model `{model}` does not exist. {}", suggestion(near))]
    ModelNotFound {
        /// The model, as the caller spelled it.
        model: String,
        /// Names that the key may use and that look alike.
        near: Vec<String>,
    },
    /// No such path.
    #[error("There is nothing at this path. Send calls to /v1/chat/completions or one of its siblings.")]
    PathNotFound,
    /// The path exists, the method does not.
    #[error("This path does not take that method. Use one of {allow}.")]
    MethodNotAllowed {
        /// The value of `allow`.
        allow: &'static str,
    },
    /// The request has passed this gateway before.
    #[error(
        "The request has passed this gateway before: one of its upstreams leads back to it. Tell this gateway's \
         administrator."
    )]
    LoopDetected,
    /// The key store could not say whether the key is good.
    #[error("The API key cannot be checked right now. Try again shortly.")]
    StoreUnavailable,
    /// A limit of the key is in the way.
    #[error("{}", limit_message(*.cause, *.retry_after))]
    Limited {
        /// Which limit.
        cause: DenialCause,
        /// When the call would be let through; none if no wait helps.
        retry_after: Option<Duration>,
    },
    /// There are more calls than can be served, and waiting in line is no use.
    #[error("This gateway has more calls than it can serve right now. Try again in {}.", seconds(*.retry_after))]
    Overloaded {
        /// When there may be room.
        retry_after: Duration,
    },
    /// No target of any model of the call may be used at the moment; nothing was sent. One call a second is let through all
    /// the same.
    #[error("Nothing that serves the model is healthy right now. Try again in 1 s.")]
    NoHealthyTarget,
    /// Nothing may serve the model for now: the configuration names who is to, and none of them can be used. No wait helps; somebody
    /// has to see to it.
    #[error(
        "The model `{model}` cannot be served as it is configured. This gateway's administrator sees why at /health/detailed."
    )]
    ModelWithheld {
        /// The model, as the caller spelled it.
        model: String,
    },
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
    #[error("The request carries no API key. Send `Authorization: Bearer KEY`, `x-api-key: KEY` or `api-key: KEY`.")]
    Missing,
    /// It is not known.
    #[error("The API key is not known here. Check it, or ask this gateway's administrator for another.")]
    Unknown,
    /// Several were presented, and they differ.
    #[error("The request carries several API keys that differ. Send one.")]
    Conflicting,
    /// It was good until a while ago.
    #[error("The API key has expired. Use another, or ask this gateway's administrator for one.")]
    Expired,
    /// It is known and switched off.
    #[error("The API key is disabled. Use another, or ask this gateway's administrator to enable it.")]
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

    /// What an operator may turn so that such calls are let through, if that is all there is to it.
    pub(crate) fn refused_by(&self) -> Option<RefusedBy> {
        match self {
            Self::Limited { cause, .. } => Some(RefusedBy::Limit(cause.name())),
            Self::Overloaded { .. } => Some(RefusedBy::Room),
            _ => None,
        }
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
            // Nobody knows when, in the last case because one of the key's other calls has to be over first.
            Self::StoreUnavailable
            | Self::NoHealthyTarget
            | Self::Limited { cause: DenialCause::Unavailable | DenialCause::Concurrency { .. }, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Overloaded { retry_after } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*retry_after)));
            }
            Self::Limited { retry_after: Some(wait), .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*wait)));
                headers.insert("retry-after-ms", HeaderValue::from(whole_millis(*wait)));
            }
            // SDKs try a 429 again unless they are told not to, and this one will not get better.
            Self::Limited { retry_after: None, .. } => {
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
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
        let unavailable = |code| Verdict(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", Some(code));
        let invalid = |status, code| Verdict(status, INVALID_REQUEST, Some(code));
        match self {
            Self::MalformedHead { .. } | Self::BodyBroken => bad_request(None),
            Self::Request(error) => bad_request(error.code()),
            Self::UnsupportedMediaType { .. } | Self::CompressedBody => {
                invalid(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
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
            Self::StoreUnavailable | Self::Limited { cause: DenialCause::Unavailable, .. } => {
                unavailable("store_unavailable")
            }
            Self::NoHealthyTarget | Self::ModelWithheld { .. } => unavailable("no_healthy_target"),
            Self::Overloaded { .. } => unavailable("overloaded"),
            Self::Limited { cause, .. } => {
                Verdict(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some(limit_code(*cause)))
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
            Self::Expired => "expired_api_key",
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

/// The public sentences for a failed attempt.
pub(crate) fn failure_message(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::CredentialsRejected => {
            "The upstream rejected this gateway's own credentials. Tell this gateway's administrator."
        }
        Outcome::RateLimited { .. } => "The upstream limits this gateway's rate. Try again later.",
        Outcome::Overloaded { .. } => "The upstream is overloaded. Try again later.",
        Outcome::ModelMissing => "The upstream does not know the model. Tell this gateway's administrator.",
        Outcome::ServerError => "The upstream failed. Try again later.",
        Outcome::InvalidResponse => {
            "The upstream's answer is not what its protocol promises. Tell this gateway's administrator if that persists."
        }
        Outcome::Transport => "The connection to the upstream failed. Try again later.",
        Outcome::Truncated => "The upstream's answer ended before it was complete. Try again.",
        Outcome::Timeout(TimeoutPhase::Connect) => "The upstream could not be reached in time. Try again later.",
        Outcome::Timeout(TimeoutPhase::Headers) => "The upstream did not begin to answer in time. Try again later.",
        Outcome::Timeout(TimeoutPhase::FirstToken) => "The upstream sent no content in time. Try again later.",
        Outcome::Timeout(TimeoutPhase::Idle) => {
            "The upstream stopped sending before its answer was complete. Try again."
        }
        Outcome::Timeout(TimeoutPhase::Total) => {
            "The call took longer than it may. Try again later, or ask for a shorter answer."
        }
        _ => "The upstream did not answer usefully. Try again later.",
    }
}

/// The `code` for a limit that is in the way.
fn limit_code(cause: DenialCause) -> &'static str {
    match cause {
        DenialCause::Concurrency { .. } => "concurrency_limit_exceeded",
        DenialCause::Budget => "insufficient_quota",
        DenialCause::Requests { .. } | DenialCause::Tokens { .. } | DenialCause::Blocked | DenialCause::Unavailable => {
            "rate_limit_exceeded"
        }
    }
}

/// The public sentences for a limit that is in the way.
fn limit_message(cause: DenialCause, retry_after: Option<Duration>) -> String {
    let advice = match retry_after {
        Some(wait) => format!("Try again in {}.", seconds(wait)),
        None => "Ask this gateway's administrator for a higher limit.".to_owned(),
    };
    match cause {
        DenialCause::Requests { limit, period } => {
            format!("The API key's limit of {} is used up. {advice}", rate(limit, period))
        }
        DenialCause::Tokens { needed, limit } if retry_after.is_none() => format!(
            "The call may take {needed} tokens with its answer, and the API key may use {limit} a minute at most. Send a \
             shorter prompt or a lower `max_tokens`."
        ),
        DenialCause::Tokens { .. } => format!("The API key may not use as many tokens as this. {advice}"),
        DenialCause::Concurrency { limit } => {
            format!(
                "The API key may make {limit} calls at once, and so many are under way. Try again when one is over."
            )
        }
        DenialCause::Budget => format!("The API key's budget is spent. {advice}"),
        DenialCause::Blocked => format!("The API key may not make any such call: its limit is 0. {advice}"),
        DenialCause::Unavailable => "The API key's limits cannot be checked right now. Try again shortly.".to_owned(),
    }
}

/// So many requests in such a time, in words.
fn rate(limit: u64, period: Duration) -> String {
    let noun = if limit == 1 { "request" } else { "requests" };
    match period.as_secs() {
        1 => format!("{limit} {noun} a second"),
        60 => format!("{limit} {noun} a minute"),
        _ => format!("{limit} {noun} in {}", seconds(period)),
    }
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => "Use one of the names listed at /v1/models.".to_owned(),
        _ => format!("Did you mean `{}`?", near.join("` or `")),
    }
}

/// Rounded up: a caller who waits that long has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A duration to the millisecond, rounded up: a caller who waits that long has waited long enough.
fn seconds(duration: Duration) -> String {
    let millis = whole_millis(duration);
    format!("{} s", Duration::from_millis(millis).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong, and what to do next: two sentences at least.
    fn assert_helpful(rejection: &Rejection) {
        let message = rejection.to_string();
        assert!(message.starts_with(char::is_uppercase), "{message}");
        assert!(message.ends_with(['.', '?']), "{message}");
        assert!(message.contains(". "), "says nothing of what to do next: {message}");
    }

    #[test]
    fn every_message_says_what_is_wrong_and_what_to_do_next() {
        let model = || "m".to_owned();
        for rejection in [
            Rejection::malformed_head("the request has no `host` header"),
            Rejection::UnsupportedMediaType { expected: "application/json" },
            Rejection::CompressedBody,
            Rejection::BodyTooLarge { limit: 1 },
            Rejection::BodyTimeout { waited: Duration::from_secs(1) },
            Rejection::BodyBroken,
            Rejection::HeadTooLarge,
            Rejection::ModelNotAllowed { model: model() },
            Rejection::PassthroughNotAllowed,
            Rejection::ModelNotFound { model: model(), near: Vec::new() },
            Rejection::ModelNotFound { model: model(), near: vec![model(), model()] },
            Rejection::PathNotFound,
            Rejection::MethodNotAllowed { allow: "POST, OPTIONS" },
            Rejection::LoopDetected,
            Rejection::StoreUnavailable,
            Rejection::NoHealthyTarget,
            Rejection::ModelWithheld { model: "m".to_owned() },
        ] {
            assert_helpful(&rejection);
        }
        for fault in [KeyFault::Missing, KeyFault::Unknown, KeyFault::Conflicting, KeyFault::Disabled] {
            assert_helpful(&fault.into());
        }
    }

    #[test]
    fn every_limit_says_what_it_is_and_what_to_do_next() {
        let minute = Duration::from_mins(1);
        for cause in [
            DenialCause::Requests { limit: 2, period: minute },
            DenialCause::Tokens { needed: 3, limit: 2 },
            DenialCause::Concurrency { limit: 2 },
            DenialCause::Budget,
            DenialCause::Blocked,
            DenialCause::Unavailable,
        ] {
            for retry_after in [None, Some(minute)] {
                assert_helpful(&Rejection::Limited { cause, retry_after });
            }
        }
    }

    #[test]
    fn a_limit_of_requests_is_named() {
        let message =
            |limit, period| limit_message(DenialCause::Requests { limit, period }, Some(Duration::from_millis(1500)));
        let second = Duration::from_secs(1);
        assert_eq!(message(5, second), "The API key's limit of 5 requests a second is used up. Try again in 1.5 s.");
        assert_eq!(
            message(1, 60 * second),
            "The API key's limit of 1 request a minute is used up. Try again in 1.5 s."
        );
        assert_eq!(
            message(9, 90 * second),
            "The API key's limit of 9 requests in 90 s is used up. Try again in 1.5 s."
        );
    }

    #[test]
    fn every_failure_of_an_upstream_says_what_to_do_next() {
        let phases = [
            TimeoutPhase::Connect,
            TimeoutPhase::Headers,
            TimeoutPhase::FirstToken,
            TimeoutPhase::Idle,
            TimeoutPhase::Total,
        ];
        let failures = [
            Outcome::CredentialsRejected,
            Outcome::RateLimited { retry_after: None },
            Outcome::Overloaded { retry_after: None },
            Outcome::ModelMissing,
            Outcome::ServerError,
            Outcome::InvalidResponse,
            Outcome::Transport,
            Outcome::Truncated,
            Outcome::ClientFault,
        ];
        for outcome in failures.into_iter().chain(phases.map(Outcome::Timeout)) {
            assert_helpful(&Rejection::Upstream { outcome });
        }
    }
}
