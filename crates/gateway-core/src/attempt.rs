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
mod explanation;
mod failure;
mod fault;
mod passthrough;
mod race;
mod whole;

pub(crate) use admission::Admission;
pub(crate) use committed::Committed;
pub(crate) use passthrough::{Passage, admit_passthrough, attempt_passthrough};

use admission::Door;
use course::{Course, OutOfTime, first_with_room};
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
/// Every attempt is noted in the settlement whatever becomes of it, also if this future is dropped.
pub(crate) async fn attempt(
    plan: &Plan<'_>,
    asked: &Asked,
    outgoing: &Outgoing<'_>,
    settlement: &mut Settlement,
) -> Result<Committed, Rejection> {
    let mut search = Search { sending: Sending { asked, outgoing }, settlement, ending: None, crowded: None };
    let mut models = Vec::new();
    for leg in &plan.legs {
        match search.try_model(leg, Door::Healthy).await {
            ControlFlow::Break(end) => return end,
            ControlFlow::Continue(door) => models.push(Untried { leg, door }),
        }
    }
    Box::pin(search.try_others(models)).await
}

/// A model, and the door behind which its targets may be asked next; none once they have been.
struct Untried<'p, 'a> {
    leg: &'p Leg<'a>,
    door: Option<Door>,
}

/// The search for an answer to one call.
struct Search<'a> {
    sending: Sending<'a>,
    settlement: &'a mut Settlement,
    /// What the caller gets if nothing better comes; none before the first attempt.
    ending: Option<Ending>,
    /// That a target had no room.
    crowded: Option<Crowded>,
}

/// How the last attempt failed.
enum Ending {
    Failed(Outcome),
    /// The request is too long for the model. The upstream's words go to the caller if no other model takes it.
    TooLong(Box<Committed>),
}

impl Search<'_> {
    /// Tries the targets of one model behind a door. Goes on unless the call is decided, with the door behind which they may be
    /// asked next, if there is one.
    async fn try_model(
        &mut self,
        leg: &Leg<'_>,
        door: Door,
    ) -> ControlFlow<Result<Committed, Rejection>, Option<Door>> {
        let mut course = Course::new(leg, self.sending.asked, door);
        if door == Door::Healthy && course.is_resting() {
            return ControlFlow::Continue(Some(Door::Resting));
        }
        let next = self.follow(&mut course).await?;
        ControlFlow::Continue(next.filter(|next| *next > door))
    }

    /// Asks whom the call would otherwise leave alone, rather than to fail. That is also how the end of an outage is seen.
    async fn try_others(mut self, mut models: Vec<Untried<'_, '_>>) -> Result<Committed, Rejection> {
        for index in 0..models.len() {
            while let Some(door) = models[index].door {
                let flow = match door {
                    Door::Crowded => self.try_crowded(&mut models[index..]).await,
                    _ => self.try_model(models[index].leg, door).await.map_continue(|next| models[index].door = next),
                };
                if let ControlFlow::Break(end) = flow {
                    return end;
                }
            }
        }
        self.ending()
    }

    /// Waits in the lines of all models that have no room, and tries whichever has some first, until the call is decided or none
    /// has any.
    async fn try_crowded(&mut self, models: &mut [Untried<'_, '_>]) -> ControlFlow<Result<Committed, Rejection>> {
        let is_crowded = |model: &&mut Untried<'_, '_>| model.door == Some(Door::Crowded);
        let mut crowded: Vec<_> = models.iter_mut().filter(is_crowded).collect();
        let asked = self.sending.asked;
        let mut courses: Vec<_> = crowded.iter().map(|model| Course::new(model.leg, asked, Door::Crowded)).collect();
        while !courses.is_empty() {
            match first_with_room(&mut courses, self.settlement).await {
                Ok(first) => {
                    let mut course = courses.remove(first);
                    crowded.remove(first).door = self.follow(&mut course).await?;
                }
                Err(none) => {
                    self.crowded = Some(none);
                    courses.clear();
                }
            }
        }
        for model in crowded {
            model.door = Some(Door::LastResort);
        }
        ControlFlow::Continue(())
    }

    /// Follows the course through one model's targets. Gives the door behind which they may be asked, if none was: all want to be
    /// left alone for a while, or have no room, or breakers or budgets let nothing through.
    async fn follow(&mut self, course: &mut Course<'_, '_>) -> ControlFlow<Result<Committed, Rejection>, Option<Door>> {
        let before = self.settlement.attempts().len();
        while !self.sending.outgoing.is_spent() {
            let mut attempt = match course.next(self.settlement).await {
                Ok(Some(attempt)) => attempt,
                Ok(None) => break,
                Err(OutOfTime) => {
                    self.end(Ending::Failed(Outcome::Timeout(TimeoutPhase::Total)));
                    break;
                }
            };
            let result = match race::hedging(course, &attempt, self.sending) {
                None => attempt.run_alone(self.sending, self.settlement).await,
                Some(hedging) => {
                    // Boxed: the usual model is not hedged.
                    let race = race::run(hedging, course, attempt, self.sending, self.settlement);
                    let Finished { attempt: decisive, result } = Box::pin(race).await;
                    attempt = decisive;
                    result
                }
            };
            let failure = match result {
                Ok(opened) => {
                    return ControlFlow::Break(Ok(committed::commit(course.leg, attempt, opened, self.settlement)));
                }
                Err(failure) => failure,
            };
            let verdict = course.conclude(attempt, &failure, self.settlement);
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
        if self.settlement.attempts().len() > before {
            return ControlFlow::Continue(None);
        }
        self.crowded = course.crowded.or(self.crowded);
        ControlFlow::Continue(Some(course.next_door()))
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
            Some(Ending::TooLong(answer)) => {
                self.settlement.quote(answer.attempt);
                Ok(*answer)
            }
            None => Err(self.crowded.map_or(Rejection::NoHealthyTarget, Rejection::from)),
        }
    }
}
