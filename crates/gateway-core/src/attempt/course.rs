//! The way through one model's targets: which is next, and when.

use std::sync::Arc;
use std::time::Duration;

use gateway_call::Outcome;
use gateway_resilience::{Retries, RetryPolicy, Standing, Step, Verdict};
use gateway_routing::Ranking;
use tokio::time::{Instant, sleep, timeout_at};

use super::admission::{Admission, Door};
use super::exchange::Attempt;
use super::failure::Failure;
use crate::gate::{Crowded, Place};
use crate::ingest::Asked;
use crate::plan::{Aim, Leg};
use crate::settle::Settlement;

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
    fn of(step: &Step, aim: &Aim<'_>, ledger: &Settlement) -> Self {
        let before = ledger.attempts().iter().rev().filter(|it| Arc::ptr_eq(&it.provider, &aim.provider.name));
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
        let ranking = leg.rank(asked, Instant::now());
        let retries = Retries::new(policy);
        Self { leg, door, ranking, retries, crowded: None, used: Vec::new(), random: fastrand::u64(..) }
    }

    /// Whether the model's targets want to be left alone for longer than the call would wait for them. They are worth a try
    /// only if nothing else is.
    pub(super) fn is_resting(&self) -> bool {
        let best = self.ranking.first().and_then(|target| self.leg.health(target));
        best.is_some_and(|best| best.cool_down(Instant::now().into_std()) > self.leg.retry.max_retry_after)
    }

    /// The next attempt, once its time has come; none if nothing is left to try.
    ///
    /// # Errors
    ///
    /// Nothing is left because the call's time is over.
    pub(super) async fn next(&mut self, ledger: &mut Settlement) -> Result<Option<Attempt<'a>>, OutOfTime> {
        let mut is_late = false;
        loop {
            let now = Instant::now();
            let Some((step, aim)) = self.next_step(now) else {
                return if is_late { Err(OutOfTime) } else { Ok(None) };
            };
            is_late |= now.into_std() >= aim.deadline.instant();
            if !self.is_worth_waiting(&step, &aim, ledger, now) {
                self.retries.refuse(step.target);
                continue;
            }
            if !step.delay.is_zero() {
                ledger.wait_for(sleep(step.delay)).await;
                // Timers are a millisecond late, and more on a busy machine.
                if Instant::now().into_std() >= aim.deadline.instant() {
                    return Err(OutOfTime);
                }
            }
            let place = match self.find_room(step.target, &aim, ledger).await {
                Ok(place) => place,
                Err(crowded) => {
                    self.crowded = Some(crowded);
                    self.retries.refuse(step.target);
                    continue;
                }
            };
            match self.admit((step.target, place), &aim, Toll::of(&step, &aim, ledger)) {
                Some(admission) => {
                    self.retries.begin(step);
                    self.random = fastrand::u64(..);
                    return Ok(Some(self.begin(step.target, aim, admission, ledger)));
                }
                None => self.retries.refuse(step.target),
            }
        }
    }

    /// An attempt beside those that are slow, at a target that the call has not tried; none if there is none to be had.
    pub(super) fn hedge(
        &mut self,
        mut is_running: impl FnMut(usize) -> bool,
        ledger: &mut Settlement,
    ) -> Option<Attempt<'a>> {
        let now = Instant::now().into_std();
        let mut is_fresh = |target: &usize| {
            let standing = self.leg.health(*target).map(|health| health.standing(now));
            !is_running(*target) && !self.retries.has_tried(*target) && standing == Some(Standing::Available)
        };
        let found = self.ranking.iter().filter(|target| is_fresh(target)).find_map(|target| {
            let aim = self.leg.aim(target)?;
            let place = aim.provider.try_enter(&self.leg.account).ok()?;
            let admission = self.admit((target, place), &aim, Toll::Retry)?;
            Some((target, aim, admission))
        });
        let (target, aim, admission) = found?;
        self.retries.hedge(target);
        Some(self.begin(target, aim, admission, ledger))
    }

    /// Notes how an attempt failed and says what is to be done about it.
    pub(super) fn conclude(&mut self, attempt: Attempt<'a>, failure: &Failure, ledger: &mut Settlement) -> Verdict {
        let (target, outcome) = (attempt.target, failure.outcome());
        let verdict = Verdict::on(outcome);
        if verdict == Verdict::Rotate {
            self.used.push((target, attempt.admission.credential));
        }
        attempt.fail(failure, ledger);
        let has_other_credential = self.has_other_credential(target);
        let verdict = match verdict {
            Verdict::Rotate if outcome == Outcome::CredentialsRejected && !has_other_credential => Verdict::NextTarget,
            verdict => verdict,
        };
        self.retries.conclude(target, verdict, has_other_credential);
        verdict
    }

    fn next_step(&self, now: Instant) -> Option<(Step, Aim<'a>)> {
        let cool_down =
            |target: usize| self.leg.health(target).map_or(Duration::ZERO, |health| health.cool_down(now.into_std()));
        let step = self.retries.next(self.ranking.iter(), cool_down, self.random)?;
        Some((step, self.leg.aim(step.target)?))
    }

    /// Whether the call will still have time for a step, and, before anything is waited for, whether it will be let through
    /// then, as far as that can be told.
    fn is_worth_waiting(&self, step: &Step, aim: &Aim<'_>, ledger: &Settlement, now: Instant) -> bool {
        let (now, then) = (now.into_std(), now.into_std() + step.delay);
        let has_time = then < aim.deadline.instant();
        if step.delay.is_zero() {
            return has_time;
        }
        let standing = self.leg.health(step.target).map(|health| health.standing(then));
        let is_let_through = !matches!(standing, Some(Standing::Open { .. }));
        let is_charged = Toll::of(step, aim, ledger) == Toll::Retry;
        has_time && is_let_through && (!is_charged || aim.provider.state.budget.has_room(now))
    }

    /// One of the provider's places; none is needed if it has any number of them.
    ///
    /// The call waits in line only where it has nobody else to go to: behind that door, or where it comes for the second time.
    async fn find_room(&self, target: usize, aim: &Aim<'_>, ledger: &mut Settlement) -> Result<Option<Place>, Crowded> {
        let Some(room) = aim.provider.room.filter(|_| self.door >= Door::Crowded || self.retries.has_tried(target))
        else {
            return aim.provider.try_enter(&self.leg.account);
        };
        let deadline = Instant::from_std(aim.deadline.instant());
        let entering = timeout_at(deadline, aim.provider.state.gate.enter(room, &self.leg.account));
        ledger.wait_for(entering).await.unwrap_or(Err(Crowded::NOW)).map(Some)
    }

    /// Asks the target's breaker, and for a retry the provider's budget.
    fn admit(&self, (target, place): (usize, Option<Place>), aim: &Aim<'_>, toll: Toll) -> Option<Admission> {
        let health = self.leg.health(target)?;
        let now = Instant::now().into_std();
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

    fn begin(&self, target: usize, aim: Aim<'a>, admission: Admission, ledger: &mut Settlement) -> Attempt<'a> {
        let number =
            ledger.begin_attempt(self.leg.model.clone(), aim.provider.name.clone(), aim.upstream_model.clone());
        Attempt::new((target, number), aim, admission)
    }

    /// The credentials that were refused to the call at a target, as a set of bits.
    fn used(&self, target: usize) -> u64 {
        let here = self.used.iter().filter(|(at, _)| *at == target);
        here.fold(0, |used, (_, credential)| used | 1 << (credential % 64))
    }

    fn has_other_credential(&self, target: usize) -> bool {
        self.leg
            .health(target)
            .is_some_and(|health| health.has_other_credential(Instant::now().into_std(), self.used(target)))
    }
}
