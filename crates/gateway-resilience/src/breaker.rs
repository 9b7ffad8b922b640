//! When a target that keeps failing is left alone.
//!
//! *Closed*, everything is let through and counted. *Open*, nothing is. When the open time is over the breaker is
//! *half-open*: a few probes are let through, and what comes of them closes it or opens it again, each time for longer. There
//! is no way from open to closed but by as many successful probes as the policy asks for.
//!
//! Three decisions are not in the textbook (Nygard, "Release It!", 2007):
//!
//! - **Results belong to the state that admitted them.** A slow failure from before the breaker opened must not open it
//!   again, nor an old success close it, so each ticket carries the number of its generation.
//! - **Probes are counted until they are over,** also across states. However the breaker changes, no more of them are out at
//!   once than the policy allows, but for the last resorts below.
//! - **An open breaker can be asked for a last resort:** a probe before its time, for a call that has nowhere else to go. Its
//!   success counts like that of any probe. Its failure only undoes the successes before it: a call that had no choice must
//!   not keep the target out for longer. One a second is let through even while all probes are out, because a probe can be
//!   an answer that takes minutes, and nobody else would be served for as long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_call::{Outcome, TimeoutPhase};
use parking_lot::Mutex;

use crate::Backoff;
use crate::epoch::{Epoch, nanos};
use crate::ring::{PERIODS, Ring};

/// When a breaker opens, for how long, and what closes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// It opens when so many attempts in a row failed.
    pub consecutive_failures: u32,
    /// It opens when this share of the results in the window, from 0 to 1, were failures.
    pub failure_ratio: f64,
    /// How many results the window must hold before the share counts.
    pub min_requests: u32,
    /// How far the share looks back. Kept in tenths, so up to a tenth less than this is seen.
    pub window: Duration,
    /// How long it is open. Doubles each time that it opens again without having been closed.
    pub open: Duration,
    /// What the doubling ends at.
    pub max_open: Duration,
    /// How many probes are let through at once when the open time is over, and how many of them must succeed to close it.
    /// 0 is taken as 1.
    pub half_open_probes: u32,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        let half_a_minute = Duration::from_secs(30);
        Self {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            min_requests: 10,
            window: half_a_minute,
            open: half_a_minute,
            max_open: Duration::from_mins(5),
            half_open_probes: 2,
        }
    }
}

/// What a breaker does with attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It lets them through.
    Closed,
    /// It refuses them.
    Open {
        /// When it will let probes through.
        until: Instant,
    },
    /// It lets a few through as probes.
    HalfOpen,
}

/// That a breaker has changed its mind, told to the one whose result made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerChange {
    /// It lets nothing through any more.
    Opened {
        /// When it will let probes through.
        until: Instant,
    },
    /// It lets everything through again.
    Closed,
}

/// What an attempt showed of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// Neither.
    Nothing,
}

impl Finding {
    /// What an outcome says of the target. A refusal that is about the request, the credential or its rate is no failure of
    /// the target; one that is about the request alone even shows that it works.
    pub(crate) fn of(outcome: Outcome) -> Self {
        use TimeoutPhase::{Connect, FirstToken, Headers, Idle};
        match outcome {
            Outcome::Success | Outcome::ClientFault | Outcome::ContextLength => Self::Success,
            Outcome::ServerError
            | Outcome::Overloaded { .. }
            | Outcome::InvalidResponse
            | Outcome::Transport
            | Outcome::Truncated
            | Outcome::Timeout(Connect | Headers | FirstToken | Idle) => Self::Failure,
            // Among them the total timeout, which ends attempts whatever their state.
            _ => Self::Nothing,
        }
    }
}

/// Leave to make one attempt. A probe's must be given back, by [`CircuitBreaker::record`] or [`CircuitBreaker::release`].
#[derive(Debug)]
pub(crate) struct Ticket {
    generation: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Made while the breaker was closed.
    Ordinary,
    /// Made while it was half-open.
    Probe,
    /// A probe made while it was open, or beside the others while it was half-open.
    LastResort,
}

impl Ticket {
    /// Whether it is one of the few that an open or half-open breaker lets through.
    pub(crate) fn is_probe(&self) -> bool {
        self.kind != Kind::Ordinary
    }
}

/// The breaker of one target.
#[derive(Debug)]
pub(crate) struct CircuitBreaker {
    policy: BreakerPolicy,
    epoch: Epoch,
    /// The end of the open time, or [`CLOSED`]. Written under the lock of `state` alone, read by anybody.
    open_until: AtomicU64,
    state: Mutex<State>,
}

/// When no probe has begun for so long, a call that has nowhere else to go is let through beside those that are out.
const PATIENCE: Duration = Duration::from_secs(1);

/// The value of `open_until` that is no moment.
const CLOSED: u64 = 0;

#[derive(Debug, Default)]
struct State {
    /// Changes whenever the breaker opens or closes.
    generation: u64,
    consecutive_failures: u32,
    /// The results of each tenth of the window.
    window: Ring<Results>,
    /// How often the breaker opened since it was closed, the first time not counted.
    reopenings: u32,
    /// Probes that are out, whichever state they come from.
    probing: u32,
    /// Successful probes since the breaker opened.
    succeeded: u32,
    /// When the latest probe began, in nanoseconds of the epoch.
    latest_probe: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Results {
    all: u32,
    failures: u32,
}

impl Results {
    fn plus(self, other: Self) -> Self {
        Self { all: self.all.saturating_add(other.all), failures: self.failures.saturating_add(other.failures) }
    }
}

impl CircuitBreaker {
    /// A closed breaker.
    pub(crate) fn new(policy: BreakerPolicy, now: Instant) -> Self {
        Self { policy, epoch: Epoch::new(now), open_until: AtomicU64::new(CLOSED), state: Mutex::default() }
    }

    /// What it does at the moment. Takes no lock.
    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match self.open_until.load(Ordering::Relaxed) {
            CLOSED => BreakerState::Closed,
            until if self.epoch.nanos(now) < until => BreakerState::Open { until: self.epoch.instant(until) },
            _ => BreakerState::HalfOpen,
        }
    }

    /// Leave to make an attempt: always while closed, never while open, and as a probe while half-open, if not too many
    /// probes are out or have been successful.
    pub(crate) fn admit(&self, now: Instant) -> Option<Ticket> {
        let mut state = self.state.lock();
        match self.state(now) {
            BreakerState::Closed => Some(Ticket { generation: state.generation, kind: Kind::Ordinary }),
            BreakerState::Open { .. } => None,
            BreakerState::HalfOpen => self.probe(&mut state, Kind::Probe, now),
        }
    }

    /// Leave for a call that has nowhere else to go: also while open, to as many at once as it probes with, and to one more
    /// if no probe has begun for a second.
    pub(crate) fn admit_last_resort(&self, now: Instant) -> Option<Ticket> {
        let mut state = self.state.lock();
        match self.state(now) {
            BreakerState::Closed => Some(Ticket { generation: state.generation, kind: Kind::Ordinary }),
            BreakerState::Open { .. } => {
                self.probe(&mut state, Kind::LastResort, now).or_else(|| self.extra(&mut state, now))
            }
            BreakerState::HalfOpen => self.probe(&mut state, Kind::Probe, now).or_else(|| self.extra(&mut state, now)),
        }
    }

    /// Notes what came of an attempt; says what it changed.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is given back once")]
    pub(crate) fn record(&self, ticket: Ticket, finding: Finding, now: Instant) -> Option<BreakerChange> {
        let mut state = self.state.lock();
        state.give_back(&ticket);
        if ticket.generation != state.generation {
            return None;
        }
        match (ticket.kind, finding) {
            (_, Finding::Nothing) => None,
            (Kind::Ordinary, Finding::Success) => self.count(&mut state, false, now),
            (Kind::Ordinary, Finding::Failure) => self.count(&mut state, true, now),
            (Kind::Probe | Kind::LastResort, Finding::Success) => {
                state.succeeded += 1;
                (state.succeeded >= self.probes()).then(|| self.close(&mut state))
            }
            (Kind::Probe, Finding::Failure) => {
                state.reopenings = state.reopenings.saturating_add(1);
                Some(self.open(&mut state, now))
            }
            (Kind::LastResort, Finding::Failure) => {
                state.succeeded = 0;
                None
            }
        }
    }

    /// Takes back the leave for an attempt of which nothing is known.
    #[expect(clippy::needless_pass_by_value, reason = "an ticket is given back once")]
    pub(crate) fn release(&self, ticket: Ticket) {
        if ticket.is_probe() {
            self.state.lock().give_back(&ticket);
        }
    }

    /// Counts a result while closed, and opens if the results now say so. The share counts, not the last result: also a
    /// success can be the one that makes them enough to tell.
    fn count(&self, state: &mut State, is_failure: bool, now: Instant) -> Option<BreakerChange> {
        let tenth = (nanos(self.policy.window) / PERIODS as u64).max(1);
        state.window.advance(self.epoch.nanos(now) / tenth);
        let latest = state.window.latest();
        *latest = latest.plus(Results { all: 1, failures: u32::from(is_failure) });
        state.consecutive_failures = if is_failure { state.consecutive_failures.saturating_add(1) } else { 0 };
        let too_many_in_a_row = is_failure && state.consecutive_failures >= self.policy.consecutive_failures;
        (too_many_in_a_row || self.is_failing(&state.window)).then(|| self.open(state, now))
    }

    fn is_failing(&self, window: &Ring<Results>) -> bool {
        let results = window.iter().fold(Results::default(), Results::plus);
        // Divided rather than multiplied: 3 / 10 is the very number that 0.3 is read as, 0.3 * 10 need not be 3.
        let ratio = f64::from(results.failures) / f64::from(results.all);
        results.all >= self.policy.min_requests && ratio >= self.policy.failure_ratio
    }

    fn probe(&self, state: &mut State, kind: Kind, now: Instant) -> Option<Ticket> {
        let has_room = state.probing.saturating_add(state.succeeded) < self.probes();
        has_room.then(|| state.begin_probe(kind, self.epoch.nanos(now)))
    }

    /// A last resort beside probes that take long.
    fn extra(&self, state: &mut State, now: Instant) -> Option<Ticket> {
        let now = self.epoch.nanos(now);
        let is_due = now.saturating_sub(state.latest_probe) >= nanos(PATIENCE);
        is_due.then(|| state.begin_probe(Kind::LastResort, now))
    }

    fn open(&self, state: &mut State, now: Instant) -> BreakerChange {
        let open_time = Backoff { base: self.policy.open, max: self.policy.max_open }.ceiling(state.reopenings);
        // Of no length at the very beginning it would look like closed.
        let until = self.epoch.nanos_after(now, open_time).max(CLOSED + 1);
        self.open_until.store(until, Ordering::Relaxed);
        state.generation += 1;
        state.succeeded = 0;
        BreakerChange::Opened { until: self.epoch.instant(until) }
    }

    fn close(&self, state: &mut State) -> BreakerChange {
        self.open_until.store(CLOSED, Ordering::Relaxed);
        *state = State { generation: state.generation + 1, probing: state.probing, ..State::default() };
        BreakerChange::Closed
    }

    fn probes(&self) -> u32 {
        self.policy.half_open_probes.max(1)
    }
}

impl State {
    fn begin_probe(&mut self, kind: Kind, now: u64) -> Ticket {
        self.probing += 1;
        self.latest_probe = now;
        Ticket { generation: self.generation, kind }
    }

    fn give_back(&mut self, ticket: &Ticket) {
        if ticket.is_probe() {
            self.probing = self.probing.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
