//! Why an attempt brought no answer.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use gateway_call::Outcome;
use gateway_upstream::{ResponseBody, UpstreamError, UpstreamErrorKind};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::Ending;
use super::committed::Committed;
use crate::plan::Aim;
use crate::redact::Redactor;
use crate::rejection::Rejection;
use crate::settle::Settlement;

/// How much of an upstream's error body is read, in bytes. Reading it to its end lets the connection be used again.
const MAX_EXPLANATION: usize = 64 * 1024;

/// How much of it is logged, in bytes.
const MAX_LOGGED: usize = 512;

/// How long the gateway waits for it. Another target may be waiting for its turn.
const EXPLANATION_TIMEOUT: Duration = Duration::from_millis(250);

/// A failed attempt.
pub(super) enum Failure {
    /// The upstream is at fault.
    Upstream {
        /// The shared verdict.
        outcome: Outcome,
        /// What is known beyond it, for the log.
        detail: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The request is too long for the model, in the upstream's words, which go to the caller if no other model takes it.
    TooLong(Box<Committed>),
    /// The caller's body turned out to be unacceptable while it was sent on.
    Caller(Rejection),
}

impl Failure {
    /// An answer that said no, with its own words.
    pub(super) fn refused(outcome: Outcome, words: impl Into<Bytes>, redactor: &Redactor) -> Self {
        let words = redactor.redact(words.into());
        let mut words = String::from_utf8_lossy(&words).into_owned();
        words.truncate(words.floor_char_boundary(MAX_LOGGED));
        Self::Upstream { outcome, detail: (!words.is_empty()).then(|| words.into()) }
    }

    /// The shared verdict. A caller whose body broke off has left as far as the upstream is concerned.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Upstream { outcome, .. } => *outcome,
            Self::TooLong(_) => Outcome::ContextLength,
            Self::Caller(_) => Outcome::Cancelled,
        }
    }

    /// What the caller of a request that is tried once is told.
    pub(super) fn into_rejection(self) -> Rejection {
        match self {
            Self::Caller(rejection) => rejection,
            failure => Rejection::Upstream { outcome: failure.outcome() },
        }
    }

    /// What is left of the failure while something else is tried.
    pub(super) fn into_ending(self) -> Ending {
        match self {
            Self::TooLong(answer) => Ending::TooLong(answer),
            failure => Ending::Failed(failure.outcome()),
        }
    }
}

impl From<Outcome> for Failure {
    fn from(outcome: Outcome) -> Self {
        Self::Upstream { outcome, detail: None }
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        let outcome = error.outcome();
        if error.kind() != UpstreamErrorKind::RequestBody {
            return Self::Upstream { outcome, detail: Some(error.into()) };
        }
        // The source is the rejection that the request body's own stream ended with.
        let rejection = error.into_source().and_then(|source| source.downcast::<Rejection>().ok());
        Self::Caller(rejection.map_or(Rejection::BodyBroken, |rejection| *rejection))
    }
}

/// Logs a failure at a target: as an error if it cost the provider the credential `lost`, because then an administrator has
/// to do something.
pub(super) fn report(
    failure: &Failure,
    aim: &Aim<'_>,
    status: Option<StatusCode>,
    lost: Option<usize>,
    settlement: &Settlement,
) {
    let Failure::Upstream { outcome, detail } = failure else { return };
    let request_id = settlement.request_id().as_str();
    let (provider, upstream_model) = (&*aim.provider.name, aim.upstream_model.as_str());
    let status = status.map(|status| status.as_u16());
    let error = detail.as_deref().map(|detail| detail as &(dyn Error + 'static));
    if let Some(credential) = lost {
        tracing::error!(
            request_id,
            provider,
            // As people count.
            api_key = credential + 1,
            status,
            error,
            "the upstream rejected a configured credential, which is left out for a while; check the provider's api_key"
        );
    } else {
        let outcome = outcome.name();
        tracing::warn!(request_id, provider, upstream_model, status, outcome, error, "attempt failed");
    }
}

/// The beginning of an upstream's error body as text, as far as it comes quickly.
pub(super) async fn explanation(mut body: ResponseBody) -> String {
    let mut text = Vec::new();
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(chunk) = frame.into_data() {
                text.extend_from_slice(&chunk);
            }
            if text.len() > MAX_EXPLANATION {
                break;
            }
        }
    };
    // Whatever came in time is what there is to log.
    let _ = timeout(EXPLANATION_TIMEOUT, read).await;
    String::from_utf8_lossy(&text).into_owned()
}
