//! An error that an upstream put into words: an answer of the kind 4xx, or an error wrapped in a success, as a whole body
//! or as the first event of a stream.

use bytes::Bytes;
use gateway_call::Outcome;
use gateway_protocol::{Segments, UpstreamFault};
use http::{HeaderMap, StatusCode};

use super::committed::answer;
use super::exchange::{Attempt, Opened};
use super::failure::Failure;
use crate::relay::Content;

/// Treats an error inside a success as the status that it names: the caller's own fault goes back to the caller as
/// `document`, everything else is a failure of the upstream.
pub(super) fn wrapped(
    attempt: &Attempt<'_>,
    fault: &UpstreamFault,
    headers: HeaderMap,
    document: Bytes,
) -> Result<Opened, Failure> {
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
    let outcome = attempt.aim.provider.protocol.classify_fault(status.unwrap_or(StatusCode::OK), fault);
    match outcome {
        Outcome::ClientFault | Outcome::ContextLength => {
            let status = status.unwrap_or(StatusCode::BAD_REQUEST);
            Ok(pass_on(attempt, outcome, status, (headers, document))?)
        }
        outcome => Err(Failure::refused(outcome, fault.message.clone(), &attempt.aim.provider.redactor)),
    }
}

/// The upstream's own words, without the gateway's credentials should it quote them: for the caller at once, or, where
/// another model may still take the request, only if none does.
pub(super) fn pass_on(
    attempt: &Attempt<'_>,
    outcome: Outcome,
    status: StatusCode,
    (headers, document): (HeaderMap, Bytes),
) -> Result<Opened, Failure> {
    let document = attempt.aim.provider.redactor.redact(document);
    let words = answer(status, headers, Content::Whole(Segments::from(document).into_iter()), attempt);
    match outcome {
        Outcome::ContextLength => Err(Failure::TooLong(Box::new(words))),
        _ => Ok(Opened::Fault(words)),
    }
}
