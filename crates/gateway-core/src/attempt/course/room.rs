//! Where there is room for the next attempt.
//!
//! A call that has somebody else to go to does not wait in line: it goes there. One that has not waits at all the targets that it
//! could go to as well, and goes to the one that has room first.

use std::sync::Arc;

use gateway_resilience::{Retries, Standing, Step};
use tokio::time::{Instant, timeout_at};

use super::{Course, Toll};
use crate::attempt::admission::Door;
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
    let now = Instant::now();
    let (mut candidates, mut owners) = (Vec::new(), Vec::new());
    for (owner, course) in courses.iter().enumerate() {
        let first = course.next_step(&course.retries, now);
        for candidate in first.into_iter().flat_map(|first| course.options(first, settlement).candidates) {
            if !has_provider(&candidates, &candidate) {
                candidates.push(candidate);
                owners.push(owner);
            }
        }
    }
    let account = courses.first().map(|course| Arc::clone(&course.leg.account)).unwrap_or_default();
    let (index, place) = wait_for_any(&candidates, &account, settlement).await?;
    let (owner, Candidate { step, aim }) = (owners[index], candidates.swap_remove(index));
    courses[owner].lodged = Some(Lodged { step, aim, place });
    Ok(owner)
}

/// The first of these that has room, and its place there; each is at a provider of its own.
async fn wait_for_any(
    candidates: &[Candidate<'_>],
    account: &Arc<str>,
    settlement: &mut Settlement,
) -> Result<(usize, Option<Place>), Crowded> {
    let mut entrances = Vec::with_capacity(candidates.len());
    for (index, Candidate { aim, .. }) in candidates.iter().enumerate() {
        match aim.provider.try_enter(account) {
            Ok(place) => return Ok((index, place)),
            // Whoever may be full has an entrance, so there is one for each candidate.
            Err(_) => entrances.extend(aim.provider.entrance()),
        }
    }
    let least = candidates.iter().map(|it| it.aim.deadline.instant()).min().ok_or(Crowded::NOW)?;
    let waiting = timeout_at(Instant::from_std(least), wait_at(&entrances, account));
    let Found { at, place } = settlement.wait_for(waiting).await.unwrap_or(Err(Crowded::NOW))?;
    Ok((at, Some(place)))
}

fn has_provider(candidates: &[Candidate<'_>], of: &Candidate<'_>) -> bool {
    candidates.iter().any(|it| Arc::ptr_eq(&it.aim.provider.name, &of.aim.provider.name))
}

impl<'a> Course<'_, 'a> {
    /// Finds room for this step, or for one that could be made in its stead.
    ///
    /// The call waits in line only where it has nobody else to go to: behind that door, or where it comes for the second time.
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
        let Options { mut candidates, rest } = self.options(Candidate { step, aim }, settlement);
        match wait_for_any(&candidates, &self.leg.account, settlement).await {
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

    /// This step and those that could be made in its stead: the ones that are next if it is refused, as long as they are no
    /// later. One is enough for each provider. What would not be let through is not worth a wait.
    fn options(&self, first: Candidate<'a>, settlement: &Settlement) -> Options<'a> {
        let now = Instant::now();
        let latest = first.step.delay;
        let (mut rest, mut next, mut candidates) = (self.retries.clone(), Some(first), Vec::new());
        while let Some(candidate) = next.filter(|next| next.step.delay <= latest) {
            rest.refuse(candidate.step.target);
            if !has_provider(&candidates, &candidate) && self.would_be_admitted(&candidate, settlement, now) {
                candidates.push(candidate);
            }
            next = self.next_step(&rest, now);
        }
        Options { candidates, rest }
    }

    /// Whether an attempt would be let through at that time, as far as can be told.
    pub(super) fn would_be_admitted(&self, candidate: &Candidate<'_>, settlement: &Settlement, at: Instant) -> bool {
        let Candidate { step, aim } = candidate;
        let standing = self.leg.health(step.target).map(|health| health.standing(at.into_std()));
        let is_let_through = self.door == Door::LastResort || !matches!(standing, Some(Standing::Open { .. }));
        let is_charged = Toll::of(step, aim, settlement) == Toll::Retry;
        let has_time = at.into_std() < aim.deadline.instant();
        has_time && is_let_through && (!is_charged || aim.provider.state.budget.has_room(Instant::now().into_std()))
    }
}
