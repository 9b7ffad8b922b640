//! What a limit store has to answer, step by step: the same for every backend.
//!
//! Times are whole microseconds and amounts small, so that a backend whose numbers are floating-point can be exact. Each
//! scenario has accounts of its own and begins at 0 again; a backend with a clock of its own has to be told the time.

mod scenarios;
mod story;

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_ratelimit::{Budget, Demand, Denial, Levels, LimitStore, Moment, RateLimit, Reservation, Used};
use jiff::Timestamp;

pub use scenarios::scenarios;

/// What the calendar shows at 0: 2026-01-31 23:59:50 UTC, ten seconds before a day and a month end.
pub const START: Timestamp = Timestamp::constant(1_769_903_990, 0);

/// A story about a few accounts.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it shows; unique.
    pub name: &'static str,
    /// What happens, in the order of time.
    pub steps: Vec<Step>,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub struct Step {
    /// When, in microseconds since the start.
    pub at_us: u64,
    /// What.
    pub operation: Operation,
}

/// What a store can be asked.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a hundred of them, in tests")]
pub enum Operation {
    /// To let a call through.
    Reserve {
        /// Whose; the names of other scenarios are other accounts.
        account: &'static str,
        /// The limits, as written.
        rate_limit: RateLimit,
        /// The budget beside them.
        budget: Option<Budget>,
        /// What is expected to be needed.
        demand: Demand,
        /// The answer.
        expected: Result<Levels, Denial>,
    },
    /// To end a call.
    Settle {
        /// Which: a number of those that were let through in this scenario, from 0.
        call: usize,
        /// What it used.
        used: Used,
    },
}

/// The moment that is so many microseconds after the start, for a store whose clock began at `base`.
pub fn moment(base: Instant, at_us: u64) -> Moment {
    let since = Duration::from_micros(at_us);
    Moment { now: base + since, wall: START + since }
}

/// Plays all scenarios.
///
/// `clock` is asked for the moment of each step before it is played, and tells the backend's own clock, if it has one. A call
/// that was settled has to count as over for the next one: a backend that settles later has to be waited for, by a store
/// around it.
///
/// # Panics
///
/// With the scenario and the step at the first answer that is not the expected one.
pub async fn run(store: &dyn LimitStore, clock: impl Fn(u64) -> Moment) {
    for scenario in scenarios() {
        play(&scenario, store, &clock).await;
    }
}

/// Plays one scenario; see [`run`].
pub async fn play(scenario: &Scenario, store: &dyn LimitStore, clock: impl Fn(u64) -> Moment) {
    let mut calls: Vec<Option<Reservation>> = Vec::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        let at = clock(step.at_us);
        match &step.operation {
            Operation::Reserve { account, rate_limit, budget, demand, expected } => {
                let key: Arc<str> = format!("{}/{account}", scenario.name).into();
                let limits = rate_limit.limits(*budget).unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
                let answer = store.reserve(&key, &Arc::new(limits), *demand, at).await;
                let found = answer.as_ref().map(Reservation::levels).map_err(Clone::clone);
                assert_eq!(found, *expected, "{}, step {number}: {step:#?}", scenario.name);
                calls.extend(answer.ok().map(Some));
            }
            Operation::Settle { call, used } => {
                let reservation = calls.get_mut(*call).and_then(Option::take);
                let reservation =
                    reservation.unwrap_or_else(|| panic!("{}, step {number}: no such call", scenario.name));
                store.settle(reservation, *used, at);
            }
        }
    }
}
