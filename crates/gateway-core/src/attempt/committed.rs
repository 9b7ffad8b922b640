//! The commit line: from here on the answer belongs to the caller, and nothing is tried again.

use std::sync::Arc;

use gateway_call::{ModelName, Outcome};
use gateway_protocol::{Served, StreamRewriter, annotate};
use http::{HeaderMap, HeaderValue, StatusCode, response};

use super::exchange::{Attempt, Opened, WholeAnswer};
use crate::plan::Leg;
use crate::relay::{Content, Judge, RawRelay};
use crate::settle::Settlement;

/// An answer that the caller will get.
pub(crate) struct Committed {
    /// The status for the caller.
    pub(crate) status: StatusCode,
    /// The upstream's headers, not yet filtered.
    pub(crate) headers: HeaderMap,
    /// The body, with whatever of it has been read already.
    pub(crate) content: Content,
    /// Whether its bytes are others than those that the headers describe.
    pub(crate) is_edited: bool,
    /// The public name of the model that answers; none for what was passed through, whose model nobody looked for.
    pub(crate) model: Option<ModelName>,
    /// The name of the provider that answers, if it can stand in a header.
    pub(crate) provider: Option<HeaderValue>,
    /// The number of the attempt that it answered.
    pub(crate) attempt: usize,
}

/// Commits to an answer: says in it who served, and keeps hold of the target for as long as it is sending.
pub(super) fn commit(leg: &Leg<'_>, attempt: Attempt<'_>, opened: Opened, settlement: &mut Settlement) -> Committed {
    let outcome = if matches!(opened, Opened::Fault(_)) { Outcome::ClientFault } else { Outcome::Success };
    settlement.conclude_attempt(attempt.number, outcome, attempt.answered);
    let committed = match opened {
        Opened::Fault(fault) => fault,
        Opened::Raw { head, relay } => raw(head, relay, &attempt),
        Opened::Whole(answer) => {
            settlement.measure_whole(answer.scan.usage, answer.body.len() as u64);
            whole(leg, &attempt, answer, settlement)
        }
        Opened::Events { head, opening } => {
            let endpoint = opening.endpoint();
            let served = leg.rewrite.then(|| served(leg, &attempt, settlement));
            let rewriter = StreamRewriter::new(endpoint, served.as_ref());
            let rewriter = if attempt.asks_usage { rewriter.withholding_usage() } else { rewriter };
            let provider = attempt.aim.provider;
            let judge = Judge { protocol: Arc::clone(&provider.protocol), redactor: provider.redactor.clone() };
            let relay = opening.into_relay(rewriter, judge, attempt.aim.timeouts.idle);
            answer(head.status, head.headers, Content::Events(Box::new(relay)), &attempt)
        }
    };
    hold(attempt, outcome, &committed.content, settlement);
    committed
}

/// Keeps the target's admission while its answer is still arriving; one that is here already is judged at once.
pub(super) fn hold(attempt: Attempt<'_>, outcome: Outcome, content: &Content, settlement: &mut Settlement) {
    let Attempt { number, began, admission, aim, .. } = attempt;
    let admission = match content {
        Content::Whole { .. } => {
            admission.finish(outcome);
            None
        }
        Content::Events(_) | Content::Raw(_) => Some(admission),
    };
    settlement.answer_with(number, began, admission, aim.price);
}

/// The upstream's bytes as they are.
pub(super) fn raw(head: response::Parts, relay: RawRelay, attempt: &Attempt<'_>) -> Committed {
    answer(head.status, head.headers, Content::Raw(Box::new(relay)), attempt)
}

/// An answer of the attempt's target.
pub(super) fn answer(status: StatusCode, headers: HeaderMap, content: Content, attempt: &Attempt<'_>) -> Committed {
    let (model, provider) = (attempt.aim.shown.clone(), attempt.aim.provider.shown.clone());
    Committed { status, headers, content, is_edited: false, model, provider, attempt: attempt.number }
}

fn whole(leg: &Leg<'_>, attempt: &Attempt<'_>, whole: WholeAnswer, settlement: &Settlement) -> Committed {
    let WholeAnswer { head, scan, body } = whole;
    let content = if leg.rewrite {
        Content::whole(annotate(&body, &scan, &served(leg, attempt, settlement)))
    } else {
        Content::from(body)
    };
    Committed { is_edited: leg.rewrite, ..answer(head.status, head.headers, content, attempt) }
}

fn served<'s>(leg: &'s Leg<'_>, attempt: &'s Attempt<'_>, settlement: &'s Settlement) -> Served<'s> {
    Served {
        model: leg.shown.as_str(),
        provider: &attempt.aim.provider.name,
        upstream_model: attempt.aim.upstream_model.as_str(),
        attempts: settlement.attempts(),
        request_id: settlement.request_id(),
    }
}
