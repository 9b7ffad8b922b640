//! The one attempt of a request that the gateway passes on without understanding it.

use std::sync::Arc;

use gateway_call::{Deadline, Outcome, TimeoutPhase};
use gateway_ratelimit::Price;
use gateway_resilience::TargetHealth;
use gateway_upstream::RequestBody;
use http::{Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::admission::Admission;
use super::committed::{Committed, hold, raw};
use super::exchange::Attempt;
use super::failure::Failure;
use super::fault;
use super::whole::error_words;
use crate::authenticate::Caller;
use crate::clock;
use crate::gate::Place;
use crate::plan::{Aim, Hurry};
use crate::rejection::Rejection;
use crate::relay::RawRelay;
use crate::settle::{Addressee, Settlement};
use crate::snapshot::ProviderRuntime;

/// What stands for the model where nobody looked for it.
const ANY: &str = "*";

/// Leave to pass one request on: a place at the provider, and its health's consent.
pub(crate) struct Passage<'a> {
    aim: Aim<'a>,
    admission: Admission,
}

/// Asks for it. Nothing of the request but its caller is looked at, so its body is still unread if there is none.
pub(crate) async fn admit_passthrough<'a>(
    provider: &'a ProviderRuntime,
    health: &Arc<TargetHealth>,
    caller: &Caller,
    settlement: &mut Settlement,
) -> Result<Passage<'a>, Rejection> {
    let deadline = Deadline::after(settlement.started().into_std(), provider.timeouts.total);
    let place = place(provider, caller, deadline, settlement).await?;
    let now = clock::now();
    let pass = health.admit(now.into_std()).or_else(|| health.admit_last_resort(now.into_std()));
    let pass = pass.ok_or(Rejection::NoHealthyTarget)?;
    provider.state.budget.deposit(now.into_std());
    let aim = Aim {
        provider,
        upstream_model: ANY.into(),
        shown: None,
        timeouts: provider.timeouts,
        deadline,
        hurry: Hurry::default(),
        price: Price::default(),
    };
    let admission = Admission::new(pass, place, health.credential(now.into_std(), 0), &aim);
    Ok(Passage { aim, admission })
}

/// Sends a request whose answer goes back as it is: all but a refusal of the gateway's own credentials and a redirect,
/// which are none of the caller's business. `request` makes it for one of the provider's credentials.
pub(crate) async fn attempt_passthrough(
    passage: Passage<'_>,
    request: impl FnOnce(&Aim<'_>, usize) -> Request<RequestBody>,
    settlement: &mut Settlement,
) -> Result<Committed, Rejection> {
    let Passage { aim, admission } = passage;
    let begun = settlement.begin_attempt(Addressee {
        model: ANY.into(),
        entry: None,
        provider: aim.provider.name.clone(),
        provider_type: aim.provider.kind.clone(),
        upstream_model: ANY.into(),
    });
    let mut attempt = Attempt::new(0, begun, aim, admission);
    attempt.is_upload = true;
    let result = exchange(&mut attempt, request).await;
    settlement.note_wait(attempt.waited);
    match result {
        Ok((outcome, committed)) => {
            settlement.conclude_attempt(begun.number, outcome, attempt.answered);
            let blame = blame(outcome, attempt.status());
            hold(attempt, blame, &committed.content, settlement);
            Ok(committed)
        }
        Err(failure) => {
            let blame = blame(attempt.blame(failure.outcome()), attempt.status());
            attempt.fail_as(&failure, blame, settlement);
            Err(failure.into_rejection())
        }
    }
}

/// A place at the provider, at once or when it is the caller's turn; none is needed where there is any number of them.
async fn place(
    provider: &ProviderRuntime,
    caller: &Caller,
    deadline: Deadline,
    settlement: &mut Settlement,
) -> Result<Option<Place>, Rejection> {
    let Some(room) = provider.room else { return Ok(None) };
    let account = caller.account();
    let entering = timeout_at(Instant::from_std(deadline.instant()), provider.state.gate.enter(room, &account));
    let out_of_time = Rejection::Upstream { outcome: Outcome::Timeout(TimeoutPhase::Total) };
    Ok(Some(settlement.wait_for(entering).await.map_err(|_| out_of_time)??))
}

async fn exchange(
    attempt: &mut Attempt<'_>,
    request: impl FnOnce(&Aim<'_>, usize) -> Request<RequestBody>,
) -> Result<(Outcome, Committed), Failure> {
    let (mut head, mut body) = attempt.send(request, false).await?;
    let outcome = attempt.classify(&head);
    attempt.aim.provider.redactor.strip(&mut head.headers);
    match outcome {
        Outcome::CredentialsRejected | Outcome::InvalidResponse => return Err(attempt.refused(outcome, body).await),
        Outcome::Success => {}
        // The words of an error may quote the credential, as those of a call may.
        _ => {
            let words = error_words(attempt, &mut body).await.unwrap_or_else(|| fault::own_words(&mut head));
            return Ok((outcome, fault::words(attempt, head.status, head.headers, words)));
        }
    }
    // Nobody knows how long the answer is; that there is one is all that a probe has to show.
    attempt.admission.first_content(attempt.awaited_since);
    Ok((outcome, raw(head, RawRelay::new(body), attempt)))
}

/// What an outcome with this status says about the provider as a whole. One path that fails, redirects, or may not be used
/// with the credential says nothing about the others.
fn blame(outcome: Outcome, status: Option<StatusCode>) -> Outcome {
    match outcome {
        Outcome::ServerError | Outcome::Overloaded { .. } | Outcome::RateLimited { .. } | Outcome::ModelMissing => {
            Outcome::Cancelled
        }
        Outcome::InvalidResponse if status.is_some() => Outcome::Cancelled,
        Outcome::CredentialsRejected if status == Some(StatusCode::FORBIDDEN) => Outcome::Cancelled,
        outcome => outcome,
    }
}
