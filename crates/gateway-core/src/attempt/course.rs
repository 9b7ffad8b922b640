//! The way through one model's targets: which is next, and when.

use std::time::Duration;

use gateway_call::Outcome;
use gateway_resilience::{Retries, RetryPolicy, Standing, Step, Verdict};
use gateway_routing::Ranking;
use tokio::time::{Instant, sleep};

use super::admission::{Admission, Door};
use super::exchange::Attempt;
use super::failure::Failure;
use crate::clock;
use crate::gate::{Crowded, Place};
use crate::ingest::Asked;
use crate::plan::{Aim, Leg};
use crate::settle::Settlement;

mod room;

pub(super) use room::first_with_room;
use room::{Candidate, Lodged};

/// What an attempt means for its provider's retry budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toll {
    /// The call's first attempt at the provider: traffic that the provider gets anyway, which feeds the budget.
    FirstVisit,
    /// The provider has answered that this credential, target or model is none, and another is asked for. No load is
    /// multiplied by that: there are only so many, and who was told so is left alone for a while.
    Free,
    /// The provider is asked again, or beside another.
    Retry,
}

impl Toll {
    /// What a step means for the budget of its provider.
    fn of(step: &Step, aim: &Aim<'_>, settlement: &Settlement) -> Self {
        let before = settlement.attempts().iter().rev().filter(|it| it.provider == aim.provider.name);
        let is_known = before.clone().any(|it| it.upstream_model == aim.upstream_model);
        match before.map(|it| Verdict::on(it.outcome)).next() {
            None => Self::FirstVisit,
            Some(Verdict::Rotate) if step.is_rotation() => Self::Free,
            Some(Verdict::NextTarget | Verdict::NextModel) if !is_known => Self::Free,
            Some(_) => Self::Retry,
        }
    }
}

/// The call's total timeout has passed.
pub(super) struct OutOfTime;

/// One call's way through the targets of one model.
pub(super) struct Course<'c, 'a> {
    pub(super) leg: &'c Leg<'a>,
    door: Door,
    ranking: Ranking,
    retries: Retries,
    /// Where the next attempt has its place already.
    lodged: Option<Box<Lodged<'a>>>,
    /// That a target had no room, if one had none.
    pub(super) crowded: Option<Crowded>,
    /// The credentials that were refused to the call, each with its target. Most calls allocate nothing for it.
    used: Vec<(usize, usize)>,
    /// What the next backoff is drawn from. Drawn once for each: a step that is refused must not become a second draw.
    random: u64,
}

impl<'c, 'a> Course<'c, 'a> {
    /// The way of a call through the targets of `leg`, as they rank now.
    pub(super) fn new(leg: &'c Leg<'a>, asked: &Asked, door: Door) -> Self {
        let policy = match door {
            Door::Healthy | Door::Resting | Door::Crowded => leg.retry,
            // A probe is one attempt.
            Door::LastResort => RetryPolicy { max_retries: 0, ..leg.retry },
        };
        let ranking = leg.rank(asked, clock::now());
        let retries = Retries::new(policy);
        let random = fastrand::u64(..);
        Self { leg, door, ranking, retries, lodged: None, crowded: None, used: Vec::new(), random }
    }

    /// Whether the model's targets want to be left alone for longer than the call would wait for them. They are worth a try
    /// only if nothing else is.
    pub(super) fn is_resting(&self) -> bool {
        let best = self.ranking.first().and_then(|target| self.leg.health(target));
        best.is_some_and(|best| best.cool_down(clock::now().into_std()) > self.leg.retry.max_retry_after)
    }

    /// The door behind which targets may be asked if none was behind this one.
    pub(super) fn next_door(&self) -> Door {
        let has_line = self.crowded.is_some() && self.door < Door::Crowded;
        if has_line { Door::Crowded } else { Door::LastResort }
    }

    /// The next attempt, once its time has come; none if nothing is left to try.
    ///
    /// # Errors
    ///
    /// Nothing is left because the call's time is over.
    pub(super) async fn next(&mut self, settlement: &mut Settlement) -> Result<Option<Attempt<'a>>, OutOfTime> {
        match self.next_at_once(settlement) {
            // Boxed: most calls wait for nothing.
            None => Box::pin(self.next_in_time(settlement)).await,
            attempt => Ok(attempt),
        }
    }

    /// The next attempt, if its time has come and there is room for it.
    fn next_at_once(&mut self, settlement: &mut Settlement) -> Option<Attempt<'a>> {
        if let Some(lodged) = self.lodged.take() {
            return self.set_out(*lodged, settlement);
        }
        let now = clock::now();
        let Candidate { step, aim } = self.next_step(&self.retries, now)?;
        if !step.delay.is_zero() || now.into_std() >= aim.deadline.instant() {
            return None;
        }
        let place = aim.provider.try_enter(&self.leg.account).ok()?;
        self.set_out(Lodged { step, aim, place }, settlement)
    }

    /// The next attempt, whatever has to be waited for.
    async fn next_in_time(&mut self, settlement: &mut Settlement) -> Result<Option<Attempt<'a>>, OutOfTime> {
        let mut is_late = false;
        loop {
            let now = clock::now();
            let Some(next) = self.next_step(&self.retries, now) else {
                return if is_late { Err(OutOfTime) } else { Ok(None) };
            };
            is_late |= now.into_std() >= next.aim.deadline.instant();
            if !self.is_worth_waiting(&next, settlement, now) {
                self.retries.refuse(next.step.target);
                continue;
            }
            if !next.step.delay.is_zero() {
                settlement.wait_for(sleep(next.step.delay)).await;
                // Timers are a millisecond late, and more on a busy machine.
                if clock::now().into_std() >= next.aim.deadline.instant() {
                    return Err(OutOfTime);
                }
            }
            let deadline = next.aim.deadline.instant();
            match self.find_room(next, settlement).await {
                Ok(lodged) => {
                    if let Some(attempt) = self.set_out(lodged, settlement) {
                        return Ok(Some(attempt));
                    }
                }
                Err(crowded) => {
                    self.crowded = Some(crowded);
                    is_late |= clock::now().into_std() >= deadline;
                }
            }
        }
    }

    /// The attempt of a step that has its place, if it is let through; else its target is refused.
    fn set_out(&mut self, lodged: Lodged<'a>, settlement: &mut Settlement) -> Option<Attempt<'a>> {
        let Lodged { step, aim, place } = lodged;
        let Some(admission) = self.admit(step.target, place, &aim, Toll::of(&step, &aim, settlement)) else {
            self.retries.refuse(step.target);
            return None;
        };
        self.retries.begin(step);
        self.random = fastrand::u64(..);
        Some(self.begin(step.target, aim, admission, settlement))
    }

    /// An attempt beside those that are slow, at a target that the call has not tried; none if there is none to be had.
    pub(super) fn hedge(
        &mut self,
        mut is_running: impl FnMut(usize) -> bool,
        settlement: &mut Settlement,
    ) -> Option<Attempt<'a>> {
        let now = clock::now().into_std();
        let mut is_fresh = |target: &usize| {
            let standing = self.leg.health(*target).map(|health| health.standing(now));
            !is_running(*target) && !self.retries.has_tried(*target) && standing == Some(Standing::Available)
        };
        let found = self.ranking.iter().filter(|target| is_fresh(target)).find_map(|target| {
            let aim = self.leg.aim(target)?;
            let place = aim.provider.try_enter(&self.leg.account).ok()?;
            let admission = self.admit(target, place, &aim, Toll::Retry)?;
            Some((target, aim, admission))
        });
        let (target, aim, admission) = found?;
        self.retries.hedge(target);
        Some(self.begin(target, aim, admission, settlement))
    }

    /// Notes how an attempt failed and says what is to be done about it.
    pub(super) fn conclude(&mut self, attempt: Attempt<'a>, failure: &Failure, settlement: &mut Settlement) -> Verdict {
        let (target, outcome) = (attempt.target, failure.outcome());
        let verdict = Verdict::on(outcome);
        if verdict == Verdict::Rotate {
            self.used.push((target, attempt.admission.credential));
        }
        attempt.fail(failure, settlement);
        let has_other_credential = self.has_other_credential(target);
        let verdict = match verdict {
            Verdict::Rotate if outcome == Outcome::CredentialsRejected && !has_other_credential => Verdict::NextTarget,
            verdict => verdict,
        };
        self.retries.conclude(target, verdict, has_other_credential);
        verdict
    }

    fn next_step(&self, retries: &Retries, now: Instant) -> Option<Candidate<'a>> {
        let step = retries.next(self.ranking.iter(), |target| self.cool_down(target, now), self.random)?;
        self.candidate(step)
    }

    fn candidate(&self, step: Step) -> Option<Candidate<'a>> {
        Some(Candidate { step, aim: self.leg.aim(step.target)? })
    }

    /// For how long a target still wants to be left alone.
    fn cool_down(&self, target: usize, now: Instant) -> Duration {
        self.leg.health(target).map_or(Duration::ZERO, |health| health.cool_down(now.into_std()))
    }

    /// Whether the call will still have time for a step, and, before anything is waited for, whether it will be let through
    /// then, as far as that can be told.
    fn is_worth_waiting(&self, next: &Candidate<'_>, settlement: &Settlement, now: Instant) -> bool {
        if next.step.delay.is_zero() {
            return now.into_std() < next.aim.deadline.instant();
        }
        self.would_be_admitted(next, settlement, now + next.step.delay)
    }

    /// Asks the target's breaker, and for a retry the provider's budget.
    fn admit(&self, target: usize, place: Option<Place>, aim: &Aim<'_>, toll: Toll) -> Option<Admission> {
        let health = self.leg.health(target)?;
        let now = clock::now().into_std();
        // Asked first, because a pass that comes to nothing may have been the one probe of this second.
        if toll == Toll::Retry && !aim.provider.state.budget.has_room(now) {
            return None;
        }
        let pass = match self.door {
            Door::Healthy | Door::Resting | Door::Crowded => health.admit(now),
            Door::LastResort => health.admit_last_resort(now),
        }?;
        let budget = &aim.provider.state.budget;
        match toll {
            Toll::FirstVisit => budget.deposit(now),
            Toll::Free => {}
            Toll::Retry if budget.withdraw(now) => {}
            Toll::Retry => return None,
        }
        Some(Admission::new(pass, place, health.credential(now, self.used(target)), aim))
    }

    fn begin(&self, target: usize, aim: Aim<'a>, admission: Admission, settlement: &mut Settlement) -> Attempt<'a> {
        let begun = settlement.begin_attempt(self.leg.attempt_at(&aim));
        Attempt::new(target, begun, aim, admission)
    }

    /// The credentials that were refused to the call at a target, as a set of bits.
    fn used(&self, target: usize) -> u64 {
        let here = self.used.iter().filter(|(at, _)| *at == target);
        here.fold(0, |used, (_, credential)| used | 1 << (credential % 64))
    }

    fn has_other_credential(&self, target: usize) -> bool {
        self.leg
            .health(target)
            .is_some_and(|health| health.has_other_credential(clock::now().into_std(), self.used(target)))
    }
}
