//! Step 6: from a plan to an answer that can be committed to.
//!
//! Here are the loops of a call. Until an attempt has shown that it is an answer (the whole of a plain one, the first
//! content of a stream), nothing has gone to the caller, so a failed attempt leaves no trace but in the trail. What comes
//! next is decided elsewhere: by the ranking of the route, the health of the targets, the retry policy and the budget. Here
//! their answers are put in order:
//!
//! 1. another target of the same model, at once;
//! 2. the same targets again after a backoff, until the model's retries are used up;
//! 3. the next model of the list.

use std::ops::ControlFlow;

use gateway_call::{Outcome, TimeoutPhase};
use gateway_resilience::Verdict;

use crate::encode::Outgoing;
use crate::gate::Crowded;
use crate::ingest::Asked;
use crate::plan::{Leg, Plan};
use crate::rejection::Rejection;
use crate::settle::Settlement;

mod admission;
mod committed;
mod course;
mod events;
mod exchange;
mod failure;
mod fault;
mod passthrough;
mod race;
mod whole;

pub(crate) use admission::Admission;
pub(crate) use committed::Committed;
pub(crate) use passthrough::attempt_passthrough;

use admission::Door;
use course::{Course, OutOfTime};
use exchange::Finished;
use failure::Failure;

/// What an attempt is made with, whichever it is.
#[derive(Clone, Copy)]
struct Sending<'a> {
    asked: &'a Asked,
    outgoing: &'a Outgoing<'a>,
}

/// Tries the plan's models in order until one of their targets answers.
///
/// Every attempt is noted in the ledger whatever becomes of it, also if this future is dropped.
pub(crate) async fn attempt(
    plan: &Plan<'_>,
    asked: &Asked,
    outgoing: &Outgoing<'_>,
    ledger: &mut Settlement,
) -> Result<Committed, Rejection> {
    let mut search = Search { sending: Sending { asked, outgoing }, ledger, ending: None, crowded: None };
    let mut left = Vec::new();
    for leg in &plan.legs {
        match search.try_model(leg, Door::Healthy).await {
            ControlFlow::Break(end) => return end,
            ControlFlow::Continue(Tried::InVain) => {}
            ControlFlow::Continue(Tried::NotAtAll(door)) => left.push((leg, door)),
        }
    }
    // Rather than to fail, a call asks whom it would otherwise leave alone. That is also how the end of an outage is seen.
    for (leg, mut door) in left {
        loop {
            match search.try_model(leg, door).await {
                ControlFlow::Break(end) => return end,
                ControlFlow::Continue(Tried::NotAtAll(next)) if next > door => door = next,
                ControlFlow::Continue(_) => break,
            }
        }
    }
    search.ending()
}

/// The search for an answer to one call.
struct Search<'a> {
    sending: Sending<'a>,
    ledger: &'a mut Settlement,
    /// What the caller gets if nothing better comes; none before the first attempt.
    ending: Option<Ending>,
    /// That a target had no room.
    crowded: Option<Crowded>,
}

/// What became of a model that gave no answer.
enum Tried {
    /// Its targets were asked.
    InVain,
    /// No target was asked: all want to be left alone for a while, or have no room, or breakers or budgets let nothing
    /// through. Behind this door they may be asked.
    NotAtAll(Door),
}

/// How the last attempt failed.
enum Ending {
    Failed(Outcome),
    /// The request is too long for the model. The upstream's words go to the caller if no other model takes it.
    TooLong(Box<Committed>),
}

impl Search<'_> {
    /// Tries the targets of one model. Goes on with the next model unless the call is decided.
    async fn try_model(&mut self, leg: &Leg<'_>, door: Door) -> ControlFlow<Result<Committed, Rejection>, Tried> {
        let mut course = Course::new(leg, self.sending.asked, door);
        if door == Door::Healthy && course.is_resting() {
            return ControlFlow::Continue(Tried::NotAtAll(Door::Resting));
        }
        let before = self.ledger.attempts().len();
        while !self.sending.outgoing.is_spent() {
            let attempt = match course.next(self.ledger).await {
                Ok(Some(attempt)) => attempt,
                Ok(None) => break,
                Err(OutOfTime) => {
                    self.end(Ending::Failed(Outcome::Timeout(TimeoutPhase::Total)));
                    break;
                }
            };
            let Finished { attempt, result } = race::run(&mut course, attempt, self.sending, self.ledger).await;
            let failure = match result {
                Ok(opened) => {
                    return ControlFlow::Break(Ok(committed::commit(
                        leg,
                        attempt,
                        opened,
                        self.sending.outgoing,
                        self.ledger,
                    )));
                }
                Err(failure) => failure,
            };
            let verdict = course.conclude(attempt, &failure, self.ledger);
            if let Failure::Caller(rejection) = failure {
                return ControlFlow::Break(Err(rejection));
            }
            self.end(failure.into_ending());
            match verdict {
                Verdict::GiveUp => return ControlFlow::Break(self.ending()),
                Verdict::NextModel => break,
                _ => {}
            }
        }
        if self.ledger.attempts().len() > before {
            return ControlFlow::Continue(Tried::InVain);
        }
        self.crowded = course.crowded.or(self.crowded);
        let has_line = course.crowded.is_some() && door < Door::Crowded;
        ControlFlow::Continue(Tried::NotAtAll(if has_line { Door::Crowded } else { Door::LastResort }))
    }

    /// Notes how the call ends if nothing better comes. That the request is too long for a model is worth more to the caller
    /// than how another model failed: it is the one thing that can be done something about.
    fn end(&mut self, ending: Ending) {
        if !matches!(self.ending, Some(Ending::TooLong(_))) {
            self.ending = Some(ending);
        }
    }

    /// What the caller gets if nothing else is tried.
    fn ending(&mut self) -> Result<Committed, Rejection> {
        match self.ending.take() {
            Some(Ending::Failed(outcome)) => Err(Rejection::Upstream { outcome }),
            Some(Ending::TooLong(answer)) => Ok(*answer),
            None => Err(self.crowded.map_or(Rejection::NoHealthyTarget, Rejection::from)),
        }
    }
}
