//! A plain answer, read whole before anything of it goes to the caller.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_call::Outcome;
use gateway_protocol::{Chunks, UpstreamFault, scan_answer};
use gateway_upstream::{ResponseBody, UpstreamError};
use http::response;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::exchange::{Attempt, Opened, WholeAnswer};
use super::explanation::Explanation;
use super::failure::Failure;
use super::fault;
use crate::relay::RawRelay;

/// The largest plain answer that is held to be rewritten, in bytes. A larger one, such as a batch of images, is passed
/// on as it arrives, without the member that says who served; nobody looks for its usage either, so what it took is estimated
/// by its length, up to what was expected.
const MAX_WHOLE: usize = 32 * 1024 * 1024;

/// The largest error that is held to be looked through for credentials, in bytes. Errors are a few hundred bytes.
const MAX_ERROR: usize = 64 * 1024;

/// How long an error may take to arrive behind its head.
const ERROR_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads a successful answer, in which JSON was promised.
pub(super) async fn read_answer(body: &mut ResponseBody) -> Result<Whole, UpstreamError> {
    read(body, MAX_WHOLE).await
}

/// Judges it; the body has what is left to read of one that is too large to be held.
pub(super) fn open(
    attempt: &mut Attempt<'_>,
    head: response::Parts,
    body: ResponseBody,
    read: Whole,
) -> Result<Opened, Failure> {
    match read {
        Whole::TooLarge(beginning) => Ok(Opened::Raw { head, relay: RawRelay::behind(beginning, body) }),
        Whole::Complete(body) => {
            let scan = scan_answer(&body).map_err(|_| Failure::from(Outcome::InvalidResponse))?;
            match &scan.error {
                Some(error) => fault::wrapped(attempt, error, head.headers, body),
                None => Ok(Opened::Whole(WholeAnswer { head, scan, body })),
            }
        }
    }
}

/// Reads an answer that finds fault with the caller's request, or with its model. What it says is in its head; a body that
/// breaks off, does not end or is too long to be looked through makes it no less so.
pub(super) async fn open_fault(
    attempt: &mut Attempt<'_>,
    outcome: Outcome,
    mut head: response::Parts,
    mut body: ResponseBody,
) -> Result<Opened, Failure> {
    let provider = attempt.aim.provider;
    let words = error_words(attempt, &mut body).await;
    attempt.note_error(head.status, words.as_deref());
    let fault = words.as_ref().and_then(|words| UpstreamFault::of_body(words));
    match fault.as_ref().map_or(outcome, |fault| provider.protocol.classify_fault(head.status, fault)) {
        outcome @ (Outcome::ClientFault | Outcome::ContextLength) => {
            let document = words.unwrap_or_else(|| fault::own_words(&mut head));
            fault::pass_on(attempt, outcome, head.status, head.headers, document)
        }
        outcome => {
            let explanation = Explanation::new(fault.as_ref(), &words.unwrap_or_default(), provider);
            Err(Failure::refused(outcome, explanation))
        }
    }
}

/// What an error says; none if that does not arrive, or is too long to be looked through.
pub(super) async fn error_words(attempt: &mut Attempt<'_>, body: &mut ResponseBody) -> Option<Bytes> {
    match attempt.wait_for(timeout(ERROR_TIMEOUT, read(body, MAX_ERROR))).await {
        Ok(Ok(Whole::Complete(words))) => Some(words),
        _ => None,
    }
}

/// A body, as far as it was read.
pub(super) enum Whole {
    Complete(Bytes),
    TooLarge(Vec<Bytes>),
}

/// Reads a body whole, up to a limit in bytes; one that arrives in one piece is not copied.
async fn read(body: &mut ResponseBody, limit: usize) -> Result<Whole, UpstreamError> {
    let mut chunks = Chunks::default();
    let mut len = 0;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        len += chunk.len();
        if len == chunk.len() && len <= limit && body.is_end_stream() {
            return Ok(Whole::Complete(chunk));
        }
        chunks.push(chunk);
        if len > limit {
            return Ok(Whole::TooLarge(chunks.into_parts()));
        }
    }
    Ok(Whole::Complete(joined(chunks.into_parts(), len)))
}

fn joined(mut chunks: Vec<Bytes>, len: usize) -> Bytes {
    if chunks.len() <= 1 {
        return chunks.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(len);
    for chunk in &chunks {
        whole.extend_from_slice(chunk);
    }
    whole.freeze()
}
