//! What is known of one target.
//!
//! A target is a provider's model. What is known of it outlives the routes that lead there, and configurations too, so it is
//! shared by `Arc` and changed in place. It is asked by every call about every target of its route, so to ask takes no lock;
//! to make an attempt takes two short ones, when it is admitted and when it is over.
//!
//! Two things keep a call away from a target, and they differ in what they are told by. The breaker opens because the target
//! *fails*; while it is open the target is not asked. A cool-down comes from a target that *says* it wants to be left alone,
//! about one credential or about all of them; it puts the target behind the others, but a call that has nobody else to ask
//! still asks. One refusal must not disable a provider.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use gateway_call::Outcome;

use crate::breaker::{CircuitBreaker, Ticket};
use crate::cool_down::CoolDown;
use crate::epoch::Epoch;
use crate::{BreakerPolicy, BreakerState, CredentialPool};

mod histogram;
mod latency;
mod pass;

use histogram::Histogram;
use latency::PeakEwma;

pub use pass::{Lesson, Pass};

/// How long a credential is left alone that was used too often, if the upstream does not say for how long.
const DEFAULT_COOL_DOWN: Duration = Duration::from_secs(1);

/// How long a target is left alone that does not know its model. It is no failure, but nothing to be asked about by every
/// call either; long enough that hardly a call meets it, short enough that whoever repairs it sees the effect.
const MODEL_MISSING_FOR: Duration = Duration::from_mins(1);

/// The longest that an upstream is left alone because it asked for it. One that asks for a day may have erred, or be back
/// long before.
const MAX_COOL_DOWN: Duration = Duration::from_mins(5);

/// The period of the histogram, in seconds.
const MINUTE: u64 = 60;

/// How fit a target is to be asked, the fittest first: what is available before what cools down before what is open, and of
/// two that are not available the one that will be sooner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing speaks against it, or it is time for a probe.
    Available,
    /// It wants to be left alone, or its credentials were refused.
    Cooling {
        /// When it is of use again.
        until: Instant,
    },
    /// Its breaker lets nothing through.
    Open {
        /// When it will let probes through.
        until: Instant,
    },
}

/// The state of one target: its breaker, its cool-downs, its load and its speed.
#[derive(Debug)]
pub struct TargetHealth {
    epoch: Epoch,
    breaker: CircuitBreaker,
    credentials: Arc<CredentialPool>,
    /// How long each credential is to be left alone at this target.
    cooling: Box<[CoolDown]>,
    /// How long the target is to be left alone whatever the credential.
    resting: CoolDown,
    in_flight: AtomicU32,
    latency: PeakEwma,
    /// Kept from the moment that somebody asks, because it is large and most models are not hedged.
    waits: OnceLock<Box<Histogram>>,
}

impl TargetHealth {
    /// A target of which nothing is known yet. `credentials` are those of its provider.
    pub fn new(policy: BreakerPolicy, credentials: Arc<CredentialPool>, now: Instant) -> Self {
        Self {
            epoch: Epoch::new(now),
            breaker: CircuitBreaker::new(policy, now),
            cooling: (0..credentials.len()).map(|_| CoolDown::default()).collect(),
            credentials,
            resting: CoolDown::default(),
            in_flight: AtomicU32::new(0),
            latency: PeakEwma::new(now),
            waits: OnceLock::new(),
        }
    }

    /// How fit it is to be asked. Takes no lock.
    pub fn standing(&self, now: Instant) -> Standing {
        if let BreakerState::Open { until } = self.breaker.state(now) {
            return Standing::Open { until };
        }
        match self.cool_down(now) {
            Duration::ZERO => Standing::Available,
            // Minutes at most, so it is a moment that can be expressed.
            wait => Standing::Cooling { until: now.checked_add(wait).unwrap_or(now) },
        }
    }

    /// How long it still wants to be left alone with every credential that it has; zero if some credential is usable.
    pub fn cool_down(&self, now: Instant) -> Duration {
        let soonest = self.keys().map(|key| self.wait(key, now)).min().unwrap_or(Duration::ZERO);
        soonest.max(self.resting.remaining(self.epoch, now))
    }

    /// The credential to use, as its place in the provider's list: the first usable one that the call has not used here.
    ///
    /// Always the first, so that the others are a reserve, and an upstream's caches per account stay warm. `used` has the bit
    /// of each credential that the call has used at this target. If it has used all that are usable it gets the first of
    /// them again; if none is usable, the one that will be soonest.
    pub fn credential(&self, now: Instant, used: u64) -> usize {
        let unused = self.usable(now).find(|key| !is_used(*key, used));
        let again = || self.usable(now).next();
        let soonest = || self.keys().min_by_key(|key| self.wait(*key, now));
        unused.or_else(again).or_else(soonest).unwrap_or(0)
    }

    /// Whether some credential is usable that the call has not used at this target.
    pub fn has_other_credential(&self, now: Instant, used: u64) -> bool {
        self.usable(now).any(|key| !is_used(key, used))
    }

    /// How many attempts have been admitted and are not over.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long it takes to the first content of an answer: at once as long as the longest that was seen, and from there
    /// slowly less, also as time goes by. None if nothing was seen yet.
    pub fn latency(&self, now: Instant) -> Option<Duration> {
        self.latency.at(now)
    }

    /// The time within which this share of answers, from 0 to 1, showed their first content, of the current minute and the
    /// one before. Never less than it was, and more by at most a sixteenth or about a millisecond. None if fewer than 20
    /// were seen since it was first asked for.
    pub fn quantile(&self, quantile: f64, now: Instant) -> Option<Duration> {
        self.waits.get_or_init(Box::default).quantile(quantile, self.epoch.periods(now, MINUTE))
    }

    /// What its breaker does with attempts. Takes no lock.
    pub fn breaker(&self, now: Instant) -> BreakerState {
        self.breaker.state(now)
    }

    /// Leave to make one attempt, if the breaker gives it: not while it is open, and while it is half-open to as many at a
    /// time as it probes with.
    pub fn admit(self: &Arc<Self>, now: Instant) -> Option<Pass> {
        self.breaker.admit(now).map(|ticket| self.pass(ticket))
    }

    /// Leave to make one attempt although the breaker is open, for a call that has nowhere else to go: to as many at a time
    /// as it probes with, and to one more if none has begun for a second. If such an attempt fails the breaker is not open for longer.
    pub fn admit_last_resort(self: &Arc<Self>, now: Instant) -> Option<Pass> {
        self.breaker.admit_last_resort(now).map(|ticket| self.pass(ticket))
    }

    /// Notes that an attempt was given up without content after so long, because another one was faster.
    ///
    /// That is no failure, but a target that never answers must not look as fast as it was when it did.
    /// For the same reason it never looks faster by it: so long is the least that it would have taken.
    pub fn outpaced(&self, elapsed: Duration, now: Instant) {
        if self.latency(now).is_none_or(|latency| elapsed > latency) {
            self.latency.observe(elapsed, now);
        }
        self.count_wait(elapsed, now);
    }

    fn observe(&self, elapsed: Duration, now: Instant) {
        self.latency.observe(elapsed, now);
        self.count_wait(elapsed, now);
    }

    fn count_wait(&self, elapsed: Duration, now: Instant) {
        if let Some(waits) = self.waits.get() {
            waits.observe(elapsed, self.epoch.periods(now, MINUTE));
        }
    }

    fn pass(self: &Arc<Self>, ticket: Ticket) -> Pass {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Pass::new(Arc::clone(self), ticket)
    }

    fn keys(&self) -> std::ops::Range<usize> {
        0..self.cooling.len()
    }

    fn usable(&self, now: Instant) -> impl Iterator<Item = usize> {
        self.keys().filter(move |key| self.wait(*key, now).is_zero())
    }

    /// How long a credential is not usable here.
    fn wait(&self, key: usize, now: Instant) -> Duration {
        let cooling = self.cooling.get(key).map_or(Duration::ZERO, |it| it.remaining(self.epoch, now));
        cooling.max(self.credentials.remaining(key, now))
    }

    /// Does what an outcome asks for: leaves the credential or the target alone. Says whether a credential was lost by it.
    fn obey(&self, credential: usize, outcome: Outcome, now: Instant) -> bool {
        let (cool_down, wait) = match outcome {
            Outcome::RateLimited { retry_after } => {
                (self.cooling.get(credential), retry_after.unwrap_or(DEFAULT_COOL_DOWN))
            }
            Outcome::Overloaded { retry_after: Some(wait) } => (Some(&self.resting), wait),
            Outcome::ModelMissing => (Some(&self.resting), MODEL_MISSING_FOR),
            Outcome::CredentialsRejected => return self.credentials.reject(credential, now),
            _ => return false,
        };
        if let Some(cool_down) = cool_down {
            cool_down.extend(self.epoch, now, wait.min(MAX_COOL_DOWN));
        }
        false
    }
}

fn is_used(key: usize, used: u64) -> bool {
    // A pool uses at most 64 credentials.
    used >> key & 1 == 1
}

#[cfg(test)]
mod tests;
