//! An error that an upstream put into words: an answer of the kind 4xx, or an error wrapped in a success, as a whole body
//! or as the first event of a stream.

use bytes::Bytes;
use gateway_call::Outcome;
use gateway_protocol::{Refusal, UpstreamFault, refusal_body};
use http::{HeaderMap, HeaderValue, StatusCode, header, response};

use super::committed::{Committed, answer};
use super::exchange::{Attempt, Opened};
use super::explanation::Explanation;
use super::failure::Failure;
use crate::relay::Content;

/// Treats an error inside a success as the status that it names: the caller's own fault goes back to the caller as
/// `document`, everything else is a failure of the upstream.
pub(super) fn wrapped(
    attempt: &mut Attempt<'_>,
    fault: &UpstreamFault,
    headers: HeaderMap,
    document: Bytes,
) -> Result<Opened, Failure> {
    attempt.note_error(StatusCode::OK, Some(&document));
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
    let outcome = attempt.aim.provider.protocol.classify_fault(status.unwrap_or(StatusCode::OK), fault);
    match outcome {
        Outcome::ClientFault | Outcome::ContextLength => {
            let status = status.unwrap_or(StatusCode::BAD_REQUEST);
            pass_on(attempt, outcome, status, headers, document)
        }
        outcome => {
            let words = fault.message.clone().into();
            Err(Failure::refused(outcome, Explanation::new(Some(fault), &words, attempt.aim.provider)))
        }
    }
}

/// What the upstream says goes to the caller at once, or, where another model may still take the request, only if none does.
pub(super) fn pass_on(
    attempt: &Attempt<'_>,
    outcome: Outcome,
    status: StatusCode,
    headers: HeaderMap,
    document: Bytes,
) -> Result<Opened, Failure> {
    let words = words(attempt, status, headers, document);
    match outcome {
        Outcome::ContextLength => Err(Failure::TooLong(Box::new(words))),
        _ => Ok(Opened::Fault(words)),
    }
}

/// An upstream's words for the caller, without the gateway's credentials should it quote them.
pub(super) fn words(attempt: &Attempt<'_>, status: StatusCode, mut headers: HeaderMap, document: Bytes) -> Committed {
    let redactor = &attempt.aim.provider.redactor;
    redactor.strip(&mut headers);
    answer(status, headers, Content::from(redactor.redact(document)), attempt)
}

/// What stands for an upstream's explanation that did not arrive, or that is too long to be looked through.
pub(super) fn own_words(head: &mut response::Parts) -> Bytes {
    for name in [header::CONTENT_ENCODING, header::CONTENT_LANGUAGE] {
        head.headers.remove(name);
    }
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let is_upstreams = head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS;
    let (kind, message) = if is_upstreams {
        ("upstream_error", "The upstream failed, and its explanation could not be passed on. Try again later.")
    } else {
        let message = "The upstream found fault with the request, and its explanation could not be passed on. Check the \
                       request against the upstream's documentation.";
        ("invalid_request_error", message)
    };
    refusal_body(&Refusal {
        status: head.status,
        kind,
        code: None,
        message: message.to_owned(),
        param: None,
        attempts: None,
    })
}
