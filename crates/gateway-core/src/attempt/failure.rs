//! Why an attempt brought no answer.

use std::error::Error;

use gateway_call::Outcome;
use gateway_upstream::{UpstreamError, UpstreamErrorKind};
use http::StatusCode;

use super::Ending;
use super::committed::Committed;
use super::explanation::Explanation;
use crate::plan::Aim;
use crate::rejection::Rejection;
use crate::settle::Settlement;

/// A failed attempt.
pub(super) enum Failure {
    /// The upstream is at fault.
    Upstream {
        /// The shared verdict.
        outcome: Outcome,
        /// What is known beyond it, for the log.
        detail: Option<Detail>,
    },
    /// The request is too long for the model, in the upstream's words, which go to the caller if no other model takes it.
    TooLong(Box<Committed>),
    /// The caller's body turned out to be unacceptable while it was sent on.
    Caller(Rejection),
}

/// More about an upstream's failure.
pub(super) enum Detail {
    /// How the exchange with it failed.
    Exchange(UpstreamError),
    /// What it says of it itself.
    Answer(Explanation),
}

impl Failure {
    /// An answer that said no.
    pub(super) fn refused(outcome: Outcome, explanation: Explanation) -> Self {
        Self::Upstream { outcome, detail: Some(Detail::Answer(explanation)) }
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
            return Self::Upstream { outcome, detail: Some(Detail::Exchange(error)) };
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
    let (error, answer) = match detail {
        Some(Detail::Exchange(error)) => (Some(error as &(dyn Error + 'static)), None),
        Some(Detail::Answer(explanation)) => (None, Some(explanation)),
        None => (None, None),
    };
    let error_type = answer.and_then(|answer| answer.kind.as_deref());
    let error_code = answer.and_then(|answer| answer.code.as_deref());
    let error_message = answer.and_then(|answer| answer.words.as_deref());
    if let Some(credential) = lost {
        tracing::error!(
            request_id,
            provider,
            // As people count.
            api_key = credential + 1,
            status,
            error_type,
            error_code,
            error_message,
            "the upstream rejected a configured credential, which is left out for a while; check the provider's api_key"
        );
    } else {
        let outcome = outcome.name();
        tracing::warn!(
            request_id,
            provider,
            upstream_model,
            status,
            outcome,
            error,
            error_type,
            error_code,
            error_message,
            "attempt failed"
        );
    }
}
