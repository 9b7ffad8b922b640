//! The order in which one call tries the targets of one model.
//!
//! The order is one rule, in rounds. In a round each target is tried at most once, the next one at once: another target is
//! the cure for one that fails, and needs no wait. Only going round again needs one, a [`Backoff`](crate::Backoff) with
//! jitter. What counts towards the policy's retries is every attempt but the first, wherever it goes.
//!
//! Two things cut across. A target that asked to be left alone (its *cool-down*) is no target to be tried at once, but one
//! to wait for, if the wait is short enough. And a target that has another credential may be tried with it at once, behind
//! targets that were not tried yet: that is not counted, because the credentials are few and each fails but once.
//!
//! Nothing here is shared or timed: a call asks for the next [`Step`], waits, and says what came of it.

use std::time::Duration;

use crate::{RetryPolicy, Verdict};

/// What is left to try of one model, within one call.
///
/// Targets are known by their index in the route, below 64. The caller asks for the [`next`](Self::next) step while no
/// attempt of its own is running, and either [begins](Self::begin) it or [refuses](Self::refuse) its target, so that the
/// next one that is asked for is another. What comes of each attempt is [concluded](Self::conclude).
#[derive(Debug, Clone)]
pub struct Retries {
    policy: RetryPolicy,
    attempts: u32,
    round: u32,
    is_over: bool,
    /// Tried in this round.
    tried: Targets,
    /// Not admitted since the last attempt began.
    refused: Targets,
    /// Of no use to this call.
    barred: Targets,
    /// Failed with a credential, and have another.
    rotating: Targets,
}

/// An attempt that may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The target's index.
    pub target: usize,
    /// How long to wait before it.
    pub delay: Duration,
    kind: Kind,
}

/// How a step goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With a target that was not tried in this round.
    Fresh,
    /// With the same target and another credential.
    Rotation,
    /// With a new round.
    Round,
}

/// A set of targets.
#[derive(Debug, Clone, Copy, Default)]
struct Targets(u64);

impl Targets {
    /// The bit of a target; none for one that does not fit.
    fn bit(target: usize) -> u64 {
        u32::try_from(target).ok().and_then(|target| 1_u64.checked_shl(target)).unwrap_or(0)
    }

    fn contains(self, target: usize) -> bool {
        self.0 & Self::bit(target) != 0
    }

    fn insert(&mut self, target: usize) {
        self.0 |= Self::bit(target);
    }

    fn remove(&mut self, target: usize) {
        self.0 &= !Self::bit(target);
    }
}

impl Step {
    /// Whether it goes to the same target as before, with a credential that the call has not used there.
    pub fn is_rotation(&self) -> bool {
        self.kind == Kind::Rotation
    }
}

impl Retries {
    /// Everything is left to try.
    pub fn new(policy: RetryPolicy) -> Self {
        let none = Targets::default();
        let (tried, refused, barred, rotating) = (none, none, none, none);
        Self { policy, attempts: 0, round: 0, is_over: false, tried, refused, barred, rotating }
    }

    /// The next step, or none if nothing is left to try of this model, now or within the wait that the policy allows.
    ///
    /// `ranking` gives the targets, best first, and `cool_down` how long each still wants to be left alone. `random`
    /// should be uniform over all 64-bit numbers. The first attempt goes to the first target whatever its cool-down: a
    /// cool-down spares an upstream repeats, it does not refuse calls. After that, with refused and barred targets left
    /// out, it is
    ///
    /// 1. at once, the first target that was not tried in this round and does not cool down;
    /// 2. at once, the first target that failed with one credential and has another;
    /// 3. whatever can be had soonest, and of several the first: a target that cools down for up to `max_retry_after`, or
    ///    after a backoff the next round.
    ///
    /// Each kind but the second only as long as retries are left. No option is sooner than the one that is given, so if a
    /// call has no time for it, it has none for anything.
    pub fn next(
        &self,
        ranking: impl Iterator<Item = usize> + Clone,
        cool_down: impl Fn(usize) -> Duration,
        random: u64,
    ) -> Option<Step> {
        let mut options = ranking.filter(|target| self.is_option(*target));
        if self.attempts == 0 {
            return options.next().map(|target| Step { target, delay: Duration::ZERO, kind: Kind::Fresh });
        }
        let at_once = |targets: Targets, is_in: bool, kind| {
            let mut ready = options.clone().filter(|target| targets.contains(*target) == is_in);
            let target = ready.find(|target| cool_down(*target).is_zero())?;
            Some(Step { target, delay: Duration::ZERO, kind })
        };
        let has_retries = self.attempts <= self.policy.max_retries;
        let fresh = has_retries.then(|| at_once(self.tried, false, Kind::Fresh)).flatten();
        fresh.or_else(|| at_once(self.rotating, true, Kind::Rotation)).or_else(|| {
            let backoff = self.policy.backoff.delay(self.round, random);
            let waits =
                options.filter(|_| has_retries).filter_map(|target| self.wait(target, cool_down(target), backoff));
            // The first of equals, so the best in rank.
            waits.min_by_key(|step| step.delay)
        })
    }

    /// Leaves a target out until an attempt has begun elsewhere: its breaker or its provider's retry budget refused it, or
    /// it would come too late.
    pub fn refuse(&mut self, target: usize) {
        self.refused.insert(target);
    }

    /// The attempt of this step is being made.
    pub fn begin(&mut self, step: Step) {
        if step.kind == Kind::Round {
            self.round = self.round.saturating_add(1);
            self.tried = Targets::default();
        }
        if step.kind != Kind::Rotation {
            self.attempts = self.attempts.saturating_add(1);
        }
        self.go_to(step.target);
    }

    /// An attempt is being made beside one that runs. It is none of the policy's retries, but the target counts as tried.
    pub fn hedge(&mut self, target: usize) {
        self.go_to(target);
    }

    /// An attempt at a target has ended, and this follows from it.
    ///
    /// `has_other_credential` says whether a credential that this call has not used there could be used; it matters to
    /// [`Verdict::Rotate`] alone. To have nothing left after a rejected credential, conclude with
    /// [`Verdict::NextTarget`].
    pub fn conclude(&mut self, target: usize, verdict: Verdict, has_other_credential: bool) {
        match verdict {
            Verdict::Commit | Verdict::PassThrough | Verdict::NextModel | Verdict::GiveUp => self.is_over = true,
            Verdict::NextTarget => self.barred.insert(target),
            Verdict::Rotate if has_other_credential => self.rotating.insert(target),
            Verdict::Rotate | Verdict::Retry => {}
        }
    }

    /// Whether the call has been at a target in this round, or need not go there at all.
    pub fn has_tried(&self, target: usize) -> bool {
        self.tried.contains(target) || self.barred.contains(target)
    }

    /// How many attempts have begun that count: the first, and the retries.
    #[cfg(test)]
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    fn go_to(&mut self, target: usize) {
        self.tried.insert(target);
        self.rotating.remove(target);
        self.refused = Targets::default();
    }

    fn is_option(&self, target: usize) -> bool {
        let is_known = Targets::bit(target) != 0;
        is_known && !self.is_over && !self.barred.contains(target) && !self.refused.contains(target)
    }

    /// The step to a target that cannot be tried at once, if it can be tried at all.
    fn wait(&self, target: usize, cool_down: Duration, backoff: Duration) -> Option<Step> {
        if cool_down > self.policy.max_retry_after {
            return None;
        }
        Some(if self.tried.contains(target) {
            Step { target, delay: cool_down.max(backoff), kind: Kind::Round }
        } else {
            Step { target, delay: cool_down, kind: Kind::Fresh }
        })
    }
}

#[cfg(test)]
mod tests;
