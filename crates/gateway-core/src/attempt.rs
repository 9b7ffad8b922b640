//! Step 6: from a plan to an answer that can be committed to.
//!
//! An attempt sends one request and reads as much of the answer as it takes to know that it is one: the whole of a plain
//! JSON answer, the first content of a stream. Until then nothing has gone to the caller and the attempt can still fail
//! without a trace in the answer.

use gateway_call::{Call, Deadline, Outcome};
use gateway_protocol::Served;
use gateway_upstream::{RequestBody, ResponseBody, SendLimits};
use http::{HeaderMap, Request, StatusCode, response};

use crate::headers::media_type;
use crate::plan::Plan;
use crate::rejection::Rejection;
use crate::relay::{Content, RawRelay};
use crate::settle::Settlement;
use crate::snapshot::ProviderRuntime;

mod events;
mod failure;
mod fault;
mod whole;

use failure::Failure;

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
/// own credentials and a redirect, which are none of the caller's business.
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
            outcome @ (Outcome::CredentialsRejected | Outcome::InvalidResponse) => {
                refused(provider, (head, body), outcome, ledger).await
            }
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
        return whole::pass_on(provider, head, body, ledger).await;
    }
    let explanation = ledger.wait_for(failure::explanation(body)).await;
    Err(Failure::refused(outcome, explanation, &provider.redactor))
}

/// Reads the beginning of a successful answer.
async fn open(
    plan: &Plan<'_>,
    call: &Call,
    head: response::Parts,
    body: ResponseBody,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    match answer_kind(&head.headers) {
        AnswerKind::Events => events::open(plan, call.endpoint, head, body, ledger).await,
        // Where JSON is promised the body is judged, not its label: some upstreams send JSON as text.
        AnswerKind::Json => whole::open(plan, head, body, ledger).await,
        AnswerKind::Other if call.endpoint.promises_json() => whole::open(plan, head, body, ledger).await,
        AnswerKind::Other => {
            ledger.judge_attempt(Outcome::Success);
            Ok(raw(head, RawRelay::new(body)))
        }
    }
}

fn raw(head: response::Parts, relay: RawRelay) -> Committed {
    Committed { status: head.status, headers: head.headers, content: Content::Raw(relay) }
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerKind {
    Events,
    Json,
    Other,
}

fn answer_kind(headers: &HeaderMap) -> AnswerKind {
    let essence = media_type(headers);
    if essence.eq_ignore_ascii_case("text/event-stream") {
        AnswerKind::Events
    } else if essence.eq_ignore_ascii_case("application/json") {
        AnswerKind::Json
    } else {
        AnswerKind::Other
    }
}
