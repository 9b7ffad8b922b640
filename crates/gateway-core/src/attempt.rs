//! Step 6: from a plan to an answer that can be committed to.
//!
//! An attempt sends one request and reads as much of the answer as it takes to know that it is one: the whole of a plain
//! JSON answer, the first content of a stream. Until then nothing has gone to the caller and the attempt can still fail
//! without a trace in the answer.

use bytes::{Bytes, BytesMut};
use gateway_call::{Call, Deadline, Endpoint, Outcome, TimeoutPhase};
use gateway_protocol::{AnswerScan, Segments, Served, StreamRewriter, UpstreamFault, annotate, scan_answer};
use gateway_upstream::{RequestBody, ResponseBody, SendLimits, UpstreamError};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, response};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::plan::Plan;
use crate::rejection::Rejection;
use crate::relay::{Content, RawRelay};
use crate::settle::Settlement;
use crate::snapshot::ProviderRuntime;

mod failure;
mod opening;

use failure::Failure;
use opening::{Beginning, Opening};

/// The largest plain answer that is held to be rewritten, in bytes. A larger one, such as a batch of images, is passed
/// on as it arrives, without the member that says who served.
const MAX_WHOLE: usize = 32 * 1024 * 1024;

/// An answer that the caller will get. Nothing is tried again from here on.
pub(crate) struct Committed {
    /// The status for the caller.
    pub(crate) status: StatusCode,
    /// The upstream's headers, not yet filtered.
    pub(crate) headers: HeaderMap,
    /// The body, with whatever of it has been read already.
    pub(crate) content: Content,
}

/// Sends the call to the plan's target.
///
/// The attempt is noted in the ledger whatever becomes of it, also if this future is dropped.
pub(crate) async fn attempt(
    plan: &Plan<'_>,
    call: &Call,
    request: Request<RequestBody>,
    ledger: &mut Settlement,
) -> Result<Committed, Rejection> {
    let provider = plan.provider;
    ledger.begin_attempt(plan.public_model.clone(), provider.name.clone(), plan.upstream_model.clone());
    let limits = SendLimits { connect: plan.timeouts.connect, headers: plan.timeouts.headers, deadline: plan.deadline };
    let result = match send(provider, request, limits, ledger).await {
        Ok((head, body)) => {
            let body = body.with_idle(plan.timeouts.idle);
            match provider.protocol.classify(&head) {
                Outcome::Success => open(plan, call, head, body, ledger).await,
                outcome => refused(provider, (head, body), outcome, ledger).await,
            }
        }
        Err(failure) => Err(failure),
    };
    result.map_err(|failure| failure.conclude(ledger))
}

/// Sends a request that is passed through as it is, whose answer goes back as it is: all but a refusal of the gateway's
/// own credentials, which is none of the caller's business.
pub(crate) async fn attempt_passthrough(
    provider: &ProviderRuntime,
    request: Request<RequestBody>,
    ledger: &mut Settlement,
) -> Result<Committed, Rejection> {
    let timeouts = provider.timeouts;
    let deadline = Deadline::after(ledger.started().into_std(), timeouts.total);
    let limits = SendLimits { connect: timeouts.connect, headers: timeouts.headers, deadline };
    ledger.begin_attempt("*".into(), provider.name.clone(), "*".into());
    let result = match send(provider, request, limits, ledger).await {
        Ok((head, body)) => match provider.protocol.classify(&head) {
            outcome @ Outcome::CredentialsRejected => refused(provider, (head, body), outcome, ledger).await,
            outcome => {
                ledger.judge_attempt(outcome);
                Ok(raw(head, RawRelay::new(body.with_idle(timeouts.idle))))
            }
        },
        Err(failure) => Err(failure),
    };
    result.map_err(|failure| failure.conclude(ledger))
}

async fn send(
    provider: &ProviderRuntime,
    request: Request<RequestBody>,
    limits: SendLimits,
    ledger: &mut Settlement,
) -> Result<(response::Parts, ResponseBody), Failure> {
    let response = ledger.wait_for(provider.upstream.send(request, limits)).await?;
    ledger.note_upstream_status(response.status());
    Ok(response.into_parts())
}

/// An answer other than success: the caller's own fault goes back to the caller, everything else is a failure.
async fn refused(
    provider: &ProviderRuntime,
    (head, body): (response::Parts, ResponseBody),
    outcome: Outcome,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    if outcome == Outcome::ClientFault {
        ledger.judge_attempt(outcome);
        return Ok(raw(head, RawRelay::new(body)));
    }
    let explanation = ledger.wait_for(failure::explanation(body)).await;
    Err(Failure::refused(outcome, explanation, &provider.headers))
}

/// Reads the beginning of a successful answer.
async fn open(
    plan: &Plan<'_>,
    call: &Call,
    head: response::Parts,
    body: ResponseBody,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    match media_type(&head.headers) {
        MediaType::Events => open_events(plan, call.endpoint, head, body, ledger).await,
        // Where JSON is promised the body is judged, not its label: some upstreams send JSON as text.
        MediaType::Json => open_whole(plan, head, body, ledger).await,
        MediaType::Other if call.endpoint.promises_json() => open_whole(plan, head, body, ledger).await,
        MediaType::Other => {
            ledger.judge_attempt(Outcome::Success);
            Ok(raw(head, RawRelay::new(body)))
        }
    }
}

fn raw(head: response::Parts, relay: RawRelay) -> Committed {
    Committed { status: head.status, headers: head.headers, content: Content::Raw(relay) }
}

// === Plain answers ===

async fn open_whole(
    plan: &Plan<'_>,
    head: response::Parts,
    mut body: ResponseBody,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    let bytes = match ledger.wait_for(read_whole(&mut body)).await? {
        Whole::Complete(bytes) => bytes,
        Whole::TooLarge(beginning) => {
            ledger.judge_attempt(Outcome::Success);
            return Ok(raw(head, RawRelay::behind(beginning, body)));
        }
    };
    let scan = scan_answer(&bytes).map_err(|_| Failure::from(Outcome::InvalidResponse))?;
    if let Some(fault) = &scan.error {
        return wrapped_fault(plan.provider, fault, head, bytes, ledger);
    }
    ledger.judge_attempt(Outcome::Success);
    let mut headers = head.headers;
    let segments = if plan.rewrite { rewritten(plan, &bytes, &scan, &mut headers, ledger) } else { bytes.into() };
    Ok(Committed { status: head.status, headers, content: Content::Whole(segments.into_iter()) })
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

fn served<'a>(plan: &'a Plan<'_>, ledger: &'a Settlement) -> Served<'a> {
    Served {
        model: plan.model.as_str(),
        provider: &plan.provider.name,
        upstream_model: plan.upstream_model.as_str(),
        attempts: ledger.attempts(),
        request_id: ledger.request_id(),
    }
}

/// An error inside a success counts as the status that it names, or as a failure of the upstream.
fn wrapped_fault(
    provider: &ProviderRuntime,
    fault: &UpstreamFault,
    head: response::Parts,
    bytes: Bytes,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    let (outcome, status) = judge_fault(provider, fault);
    if outcome != Outcome::ClientFault {
        return Err(Failure::refused(outcome, fault.message.clone(), &provider.headers));
    }
    ledger.judge_attempt(outcome);
    let content = Content::Whole(Segments::from(bytes).into_iter());
    Ok(Committed { status, headers: head.headers, content })
}

fn judge_fault(provider: &ProviderRuntime, fault: &UpstreamFault) -> (Outcome, StatusCode) {
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = Response::new(());
    *response.status_mut() = status;
    (provider.protocol.classify(&response.into_parts().0), status)
}

enum Whole {
    Complete(Bytes),
    TooLarge(Vec<Bytes>),
}

/// Reads a body whole, up to [`MAX_WHOLE`]; one that arrives in one piece is not copied.
async fn read_whole(body: &mut ResponseBody) -> Result<Whole, UpstreamError> {
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut len = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame?.into_data() {
            len += chunk.len();
            chunks.push(chunk);
            if len > MAX_WHOLE {
                return Ok(Whole::TooLarge(chunks));
            }
        }
    }
    Ok(Whole::Complete(joined(chunks, len)))
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

// === Streams ===

async fn open_events(
    plan: &Plan<'_>,
    endpoint: Endpoint,
    mut head: response::Parts,
    body: ResponseBody,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    // A model may think for longer than it may pause: ahead of the content only the time to it counts.
    let mut opening = Opening::new(endpoint, body.with_idle(plan.timeouts.total));
    let beginning = ledger.wait_for(timeout(plan.timeouts.first_token, opening.read())).await;
    if let Beginning::Fault { fault, document } =
        beginning.map_err(|_| Outcome::Timeout(TimeoutPhase::FirstToken))??
    {
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return wrapped_fault(plan.provider, &fault, head, document, ledger);
    }
    ledger.judge_attempt(Outcome::Success);
    let served = plan.rewrite.then(|| served(plan, ledger));
    let relay = opening.into_relay(StreamRewriter::new(endpoint, served.as_ref()), plan.timeouts.idle);
    Ok(Committed { status: head.status, headers: head.headers, content: Content::Events(Box::new(relay)) })
}

// === What kind of answer ===

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MediaType {
    Events,
    Json,
    Other,
}

fn media_type(headers: &HeaderMap) -> MediaType {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        MediaType::Events
    } else if essence.eq_ignore_ascii_case("application/json") {
        MediaType::Json
    } else {
        MediaType::Other
    }
}
