//! A plain answer, read whole before anything of it goes to the caller.

use bytes::{Bytes, BytesMut};
use gateway_call::Outcome;
use gateway_protocol::{AnswerScan, Chunks, Segments, annotate, scan_answer};
use gateway_upstream::{ResponseBody, UpstreamError};
use http::{HeaderMap, response};
use http_body::Body;
use http_body_util::BodyExt;

use super::{Committed, Failure, fault, raw, served};
use crate::plan::Plan;
use crate::relay::{Content, RawRelay};
use crate::settle::Settlement;
use crate::snapshot::ProviderRuntime;

/// The largest plain answer that is held to be rewritten, in bytes. A larger one, such as a batch of images, is passed
/// on as it arrives, without the member that says who served.
const MAX_WHOLE: usize = 32 * 1024 * 1024;

/// The largest error that is held to be looked through for credentials, in bytes. Errors are a few hundred bytes.
const MAX_ERROR: usize = 64 * 1024;

/// Reads a successful answer, in which JSON was promised.
pub(super) async fn open(
    plan: &Plan<'_>,
    head: response::Parts,
    mut body: ResponseBody,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    let bytes = match ledger.wait_for(read(&mut body, MAX_WHOLE)).await? {
        Whole::Complete(bytes) => bytes,
        Whole::TooLarge(beginning) => {
            ledger.judge_attempt(Outcome::Success);
            return Ok(raw(head, RawRelay::behind(beginning, body)));
        }
    };
    let scan = scan_answer(&bytes).map_err(|_| Failure::from(Outcome::InvalidResponse))?;
    if let Some(error) = &scan.error {
        return fault::answer(plan.provider, error, head, bytes, ledger);
    }
    ledger.judge_attempt(Outcome::Success);
    let mut headers = head.headers;
    let segments = if plan.rewrite { rewritten(plan, &bytes, &scan, &mut headers, ledger) } else { bytes.into() };
    Ok(Committed { status: head.status, headers, content: Content::Whole(segments.into_iter()) })
}

/// Passes on an answer that finds fault with the caller's request, without the gateway's own credentials should the
/// upstream quote them.
pub(super) async fn pass_on(
    provider: &ProviderRuntime,
    mut head: response::Parts,
    mut body: ResponseBody,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    provider.redactor.strip(&mut head.headers);
    let read = ledger.wait_for(read(&mut body, MAX_ERROR)).await?;
    ledger.judge_attempt(Outcome::ClientFault);
    match read {
        Whole::TooLarge(beginning) => Ok(raw(head, RawRelay::behind(beginning, body))),
        Whole::Complete(bytes) => {
            let segments = Segments::from(provider.redactor.redact(bytes));
            Ok(Committed { status: head.status, headers: head.headers, content: Content::Whole(segments.into_iter()) })
        }
    }
}

fn rewritten(
    plan: &Plan<'_>,
    bytes: &Bytes,
    scan: &AnswerScan,
    headers: &mut HeaderMap,
    ledger: &Settlement,
) -> Segments {
    // They describe bytes that the caller will not get.
    for name in ["etag", "content-md5", "digest", "content-digest", "repr-digest"] {
        headers.remove(name);
    }
    annotate(bytes, scan, &served(plan, ledger))
}

enum Whole {
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
        if len == chunk.len() && body.is_end_stream() {
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
