//! Where there is room for the next attempt.
//!
//! A call that has somebody else to go to does not wait in line: it goes there. One that has not waits at all the targets that it
//! could go to as well, and goes to the one that has room first.

use std::sync::Arc;
use std::time::Duration;

use gateway_resilience::{Retries, Standing, Step};
use tokio::time::Instant;

use super::{Course, Toll};
use crate::attempt::admission::Door;
use crate::clock;
use crate::gate::{Crowded, Found, Place, wait_at};
use crate::plan::Aim;
use crate::settle::Settlement;

/// A step that may be made next.
pub(super) struct Candidate<'a> {
    pub(super) step: Step,
    pub(super) aim: Aim<'a>,
}

/// A step, and its place at the provider; none is needed where there is any number of them.
pub(super) struct Lodged<'a> {
    pub(super) step: Step,
    pub(super) aim: Aim<'a>,
    pub(super) place: Option<Place>,
}

/// Steps any of which may be made next, each at a provider of its own.
struct Options<'a> {
    candidates: Vec<Candidate<'a>>,
    /// What is left if none of them is made.
    rest: Retries,
    /// When another one may be made.
    more_at: Option<Instant>,
}

/// Waits until one of several models has room, each of which has not been tried; gives its place in the list. Its next attempt is
/// made where the room is.
///
/// # Errors
///
/// None has.
pub(in crate::attempt) async fn first_with_room(
    courses: &mut [Course<'_, '_>],
    settlement: &mut Settlement,
) -> Result<usize, Crowded> {
    let now = clock::now();
    let (mut candidates, mut owners) = (Vec::new(), Vec::new());
    for (owner, course) in courses.iter().enumerate() {
        let Some(Candidate { step, .. }) = course.next_step(&course.retries, now) else { continue };
        for candidate in course.options(step, step.delay, settlement).candidates {
            if !has_provider(&candidates, &candidate) {
                candidates.push(candidate);
                owners.push(owner);
            }
        }
    }
    let account = courses.first().map(|course| Arc::clone(&course.leg.account)).unwrap_or_default();
    let (index, place) = wait_for_any(&candidates, &account, None, settlement).await?;
    let (owner, Candidate { step, aim }) = (owners[index], candidates.swap_remove(index));
    courses[owner].lodged = Some(Box::new(Lodged { step, aim, place }));
    Ok(owner)
}

/// The first of these that has room, and its place there; each is at a provider of its own. None is waited for beyond its own
/// deadline, nor beyond the time that is given.
async fn wait_for_any(
    candidates: &[Candidate<'_>],
    account: &Arc<str>,
    until: Option<Instant>,
    settlement: &mut Settlement,
) -> Result<(usize, Option<Place>), Crowded> {
    let mut entrances = Vec::with_capacity(candidates.len());
    for (index, Candidate { aim, .. }) in candidates.iter().enumerate() {
        if let Ok(place) = aim.provider.try_enter(account) {
            return Ok((index, place));
        }
        let deadline = Instant::from_std(aim.deadline.instant());
        // Whoever may be full has an entrance, so there is one for each candidate.
        entrances.extend(aim.provider.entrance(until.map_or(deadline, |until| until.min(deadline))));
    }
    if entrances.is_empty() {
        return Err(Crowded::NOW);
    }
    let Found { at, place } = settlement.wait_for(wait_at(&entrances, account)).await?;
    // It may have come at the last moment, or been noticed behind it.
    if clock::now().into_std() >= candidates[at].aim.deadline.instant() {
        return Err(Crowded::NOW);
    }
    Ok((at, Some(place)))
}

fn has_provider(candidates: &[Candidate<'_>], of: &Candidate<'_>) -> bool {
    candidates.iter().any(|it| it.aim.provider.name == of.aim.provider.name)
}

impl<'a> Course<'_, 'a> {
    /// Finds room for this step, or for one that could be made in its stead.
    ///
    /// The call waits in line only where it has nobody else to go to: behind that door, or where it comes for the second time.
    /// If a target is to be left alone for a while yet, it looks again then: it has somebody to go to, or one more to wait for.
    ///
    /// # Errors
    ///
    /// There is none. Whichever steps were looked at are refused.
    pub(super) async fn find_room(
        &mut self,
        first: Candidate<'a>,
        settlement: &mut Settlement,
    ) -> Result<Lodged<'a>, Crowded> {
        let Candidate { step, aim } = first;
        if let Ok(place) = aim.provider.try_enter(&self.leg.account) {
            return Ok(Lodged { step, aim, place });
        }
        if self.door != Door::Crowded && !self.retries.has_tried(step.target) {
            self.retries.refuse(step.target);
            return Err(Crowded::NOW);
        }
        let (came, mut waited) = (clock::now(), step.delay);
        let mut options = self.options(step, waited, settlement);
        let mut found = wait_for_any(&options.candidates, &self.leg.account, options.more_at, settlement).await;
        if found.is_err() && options.more_at.is_some_and(|more_at| clock::now() >= more_at) {
            waited += clock::now().saturating_duration_since(came);
            options = self.options(step, waited, settlement);
            found = wait_for_any(&options.candidates, &self.leg.account, None, settlement).await;
        }
        let Options { mut candidates, rest, .. } = options;
        match found {
            Ok((index, place)) => {
                let Candidate { step, aim } = candidates.swap_remove(index);
                Ok(Lodged { step, aim, place })
            }
            Err(crowded) => {
                self.retries = rest;
                Err(crowded)
            }
        }
    }

    /// This step, for which the call has waited so long, and those that could be made in its stead now. One is enough for each
    /// provider. What would not be let through is not worth a wait.
    fn options(&self, first: Step, waited: Duration, settlement: &Settlement) -> Options<'a> {
        let now = clock::now();
        let mut seen = self.retries.clone();
        let mut options = Options { candidates: Vec::new(), rest: self.retries.clone(), more_at: None };
        let mut next = self.candidate(first);
        while let Some(candidate) = next {
            seen.refuse(candidate.step.target);
            next = self.next_step(&seen, now);
            let delay =
                if candidate.step == first { Duration::ZERO } else { self.rest_of_delay(candidate.step, waited, now) };
            if !delay.is_zero() {
                let ready = now + delay;
                options.more_at = Some(options.more_at.map_or(ready, |other| other.min(ready)));
                continue;
            }
            options.rest.refuse(candidate.step.target);
            if !has_provider(&options.candidates, &candidate) && self.would_be_admitted(&candidate, settlement, now) {
                options.candidates.push(candidate);
            }
        }
        options
    }

    /// How much of a step's delay is left for a call that has waited so long already: that counts for its backoff, but how long
    /// the target wants to be left alone is counted from now.
    fn rest_of_delay(&self, step: Step, waited: Duration, now: Instant) -> Duration {
        if step.delay.is_zero() {
            return Duration::ZERO;
        }
        step.delay.saturating_sub(waited).max(self.cool_down(step.target, now))
    }

    /// Whether an attempt would be let through at that time, as far as can be told.
    pub(super) fn would_be_admitted(&self, candidate: &Candidate<'_>, settlement: &Settlement, at: Instant) -> bool {
        let Candidate { step, aim } = candidate;
        let standing = self.leg.health(step.target).map(|health| health.standing(at.into_std()));
        let is_let_through = self.door == Door::LastResort || !matches!(standing, Some(Standing::Open { .. }));
        let is_charged = Toll::of(step, aim, settlement) == Toll::Retry;
        let has_time = at.into_std() < aim.deadline.instant();
        has_time && is_let_through && (!is_charged || aim.provider.state.budget.has_room(clock::now().into_std()))
    }
}
