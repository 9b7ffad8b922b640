//! Why an attempt brought no answer.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use gateway_call::Outcome;
use gateway_upstream::{ResponseBody, UpstreamError, UpstreamErrorKind};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::redact::Redactor;
use crate::rejection::Rejection;
use crate::settle::Settlement;

/// How much of an upstream's error body is read, in bytes. Reading it to its end lets the connection be used again.
const MAX_EXPLANATION: usize = 64 * 1024;

/// How much of it is logged, in bytes.
const MAX_LOGGED: usize = 512;

/// How long the gateway waits for it.
const EXPLANATION_TIMEOUT: Duration = Duration::from_secs(1);

/// A failed attempt.
#[derive(Debug)]
pub(super) enum Failure {
    /// The upstream is at fault.
    Upstream {
        /// The shared verdict.
        outcome: Outcome,
        /// What is known beyond it, for the log.
        detail: Option<Box<dyn Error + Send + Sync>>,
    },
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

    /// Notes the failure where it belongs and turns it into what the caller is told.
    pub(super) fn conclude(self, ledger: &mut Settlement) -> Rejection {
        match self {
            Self::Caller(rejection) => rejection,
            Self::Upstream { outcome, detail } => {
                ledger.judge_attempt(outcome);
                report(outcome, detail.as_deref(), ledger);
                Rejection::Upstream { outcome }
            }
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

fn report(outcome: Outcome, detail: Option<&(dyn Error + Send + Sync + 'static)>, ledger: &Settlement) {
    let Some(attempt) = ledger.attempts().last() else { return };
    let request_id = ledger.request_id().as_str();
    let provider = &*attempt.provider;
    let error = detail.map(|detail| detail as &(dyn Error + 'static));
    if outcome == Outcome::CredentialsRejected {
        tracing::error!(
            request_id,
            provider,
            status = attempt.status,
            error,
            "the upstream rejected the configured credential; check the provider's api_key"
        );
    } else {
        tracing::warn!(
            request_id,
            provider,
            status = attempt.status,
            outcome = outcome.name(),
            error,
            "attempt failed"
        );
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
