//! Between plan and attempt: what the call is expected to need is taken from its key's limits.
//!
//! One decision for everything that is limited: requests, tokens, calls at once, and money. It comes behind the plan, because
//! only then is it known what the call may cost, and before anything is sent.

use std::sync::Arc;

use gateway_call::Tokens;
use gateway_keystore::VirtualKey;
use gateway_ratelimit::{Demand, Denial, Levels, LimitStore, Moment, NanoUsd, RecentMean, Reservation, Used};

use crate::authenticate::Caller;
use crate::clock::moment;
use crate::ingest::Asked;
use crate::plan::Plan;
use crate::rejection::Rejection;
use crate::settle::{Expected, Settlement};

mod estimate;
mod outputs;

pub(crate) use outputs::Outputs;

/// What a call has taken from its key's limits and has not settled yet.
#[derive(Debug)]
pub(crate) struct Debt {
    store: Arc<dyn LimitStore>,
    reservation: Reservation,
    /// How many answers the caller asked for in one, at least 1.
    choices: u64,
    /// Where the length of the answer is noted for the estimates to come; none if tokens are not counted.
    outputs: Option<Arc<RecentMean>>,
}

/// Who counts, and what is known of earlier answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters<'a> {
    pub(crate) limits: &'a Arc<dyn LimitStore>,
    pub(crate) outputs: &'a Outputs,
}

/// How large a body is, in bytes, that costs less to read than to guess at: as many as there can be places then take no more
/// than a few hundred megabytes.
const SMALL: u64 = 64 * 1024;

/// Leave to ask for a place: by its head the call is not known to be refused.
#[derive(Debug)]
pub(crate) struct Hopeful<'a> {
    /// Whose call it is.
    pub(crate) caller: &'a Caller,
    /// What is to become of it if its body is large.
    pub(crate) doubt: Option<Doubt>,
}

/// The refusal of a call whose body turns out to be no small one.
#[derive(Debug)]
pub(crate) struct Doubt(Denial);

impl Doubt {
    /// How much of a body may be read in doubt, in bytes.
    pub(crate) const MOST: u64 = SMALL;

    /// Refuses the call by its head after all.
    pub(crate) fn refuse(&self, settlement: &mut Settlement) -> Rejection {
        refused(&self.0, settlement)
    }
}

/// Refuses a call by its head if its key is used up whatever the body says, so that nobody can make the gateway hold bodies of
/// calls that it will not make.
///
/// Where tokens or money are counted, which limit has to be waited for the longest depends on what the call needs. So there a
/// small body is read all the same, and the wait is exact. One of unknown length, which has no `size`, is read as far as a small
/// one goes.
pub(crate) fn refuse_hopeless<'a>(
    caller: &'a Caller,
    size: Option<u64>,
    limits: &Arc<dyn LimitStore>,
    settlement: &mut Settlement,
) -> Result<Hopeful<'a>, Rejection> {
    let hopeful = Hopeful { caller, doubt: None };
    let Some(key) = caller.limited_key() else { return Ok(hopeful) };
    let counts_tokens = key.limits.counts_tokens();
    if counts_tokens && size.is_some_and(|size| size <= SMALL) {
        return Ok(hopeful);
    }
    match limits.check(&key.account, &key.limits, moment()) {
        Ok(()) => Ok(hopeful),
        // Where no wait helps there is none to be exact about.
        Err(denial) if counts_tokens && size.is_none() && denial.retry_after.is_some() => {
            Ok(Hopeful { doubt: Some(Doubt(denial)), ..hopeful })
        }
        Err(denial) => Err(refused(&denial, settlement)),
    }
}

/// Takes what a planned call is expected to need, or refuses the call.
pub(crate) async fn reserve(
    caller: &Caller,
    asked: &Asked,
    plan: &Plan<'_>,
    counters: Counters<'_>,
    settlement: &mut Settlement,
) -> Result<(), Rejection> {
    let key = caller.limited_key();
    let outputs = plan.legs.first().filter(|_| key.is_some_and(|key| key.limits.counts_tokens()));
    let outputs = outputs.map(|leg| counters.outputs.of(&leg.model));
    let mut demand = Demand::default();
    if let (Some(key), Some(outputs)) = (key, &outputs) {
        let prompt = estimate::prompt_tokens(&asked.prompt).await;
        let output = answer_tokens(asked, outputs, key, prompt);
        settlement.expect(Expected { prompt, output });
        demand.tokens = prompt.saturating_add(output);
        if key.limits.budget.is_some() {
            demand.cost = plan.dearest().cost(prompt, output);
        }
    } else {
        let prompt = estimate::rough_prompt_tokens(&asked.prompt);
        settlement.expect(Expected { prompt, output: usual_answer(asked, None) });
    }
    let Some(key) = key else { return Ok(()) };
    let reservation = take(key, demand, counters.limits, settlement).await?;
    let store = Arc::clone(counters.limits);
    settlement.owe(Debt { store, reservation, choices: asked.sizing.choices, outputs });
    Ok(())
}

/// How long an answer is taken to be if neither the caller nor earlier answers say, in tokens.
const USUAL_ANSWER: u64 = 500;

/// How many tokens the answer may have: as many as the caller allows, else as many as such answers had of late. That one is a
/// guess, so it never makes a call larger than the key may make at all.
fn answer_tokens(asked: &Asked, outputs: &RecentMean, key: &VirtualKey, prompt: u64) -> u64 {
    let usual = usual_answer(asked, outputs.get());
    let is_guess = asked.sizing.max_tokens.is_none();
    let quota = key.limits.tokens.filter(|_| is_guess);
    quota.map_or(usual, |quota| usual.min(quota.burst().saturating_sub(prompt)))
}

/// The same whoever asks: as many as the caller allows, else as many as such answers have, of which there may be a `mean`.
fn usual_answer(asked: &Asked, mean: Option<u64>) -> u64 {
    if !asked.call.endpoint.answers_in_tokens() {
        return 0;
    }
    let each = asked.sizing.max_tokens.or(mean).unwrap_or(USUAL_ANSWER);
    each.saturating_mul(asked.sizing.choices)
}

/// Takes one request of a call of which nothing is known but whose it is.
pub(crate) async fn reserve_request(
    caller: &Caller,
    limits: &Arc<dyn LimitStore>,
    settlement: &mut Settlement,
) -> Result<(), Rejection> {
    let Some(key) = caller.limited_key() else { return Ok(()) };
    let reservation = take(key, Demand::default(), limits, settlement).await?;
    settlement.owe(Debt { store: Arc::clone(limits), reservation, choices: 1, outputs: None });
    Ok(())
}

/// Has the limits decided. If that takes a while, it is the gateway's own: a caller would not wait for it without a gateway.
async fn take(
    key: &VirtualKey,
    demand: Demand,
    limits: &Arc<dyn LimitStore>,
    settlement: &mut Settlement,
) -> Result<Reservation, Rejection> {
    let decision = limits.reserve(&key.account, &key.limits, demand, moment()).await;
    decision.map_err(|denial| refused(&denial, settlement))
}

/// The rejection of a call that its key's limits do not let through. Its caller is told how much is left.
fn refused(denial: &Denial, settlement: &mut Settlement) -> Rejection {
    settlement.note_levels(denial.levels);
    Rejection::Limited { cause: denial.cause, retry_after: denial.retry_after }
}

impl Debt {
    /// How much the key has left.
    pub(crate) fn levels(&self) -> Levels {
        self.reservation.levels()
    }

    /// Settles a call that failed: it has used nothing.
    pub(crate) fn forgive(self, at: Moment) {
        self.settle(Used::default(), at);
    }

    /// Settles a call that was answered, and takes what it cost.
    pub(crate) fn pay(self, Tokens { usage, is_estimated }: Tokens, cost: NanoUsd, at: Moment) {
        if let Some(outputs) = self.outputs.as_ref().filter(|_| !is_estimated) {
            outputs.note(usage.completion / self.choices.max(1));
        }
        self.settle(Used { tokens: usage.total(), cost }, at);
    }

    fn settle(self, used: Used, at: Moment) {
        self.store.settle(self.reservation, used, at);
    }
}
