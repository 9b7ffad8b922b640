use std::sync::Barrier;

use proptest::prelude::*;

use super::*;
use crate::epoch::any_instant;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> BreakerPolicy {
    BreakerPolicy {
        consecutive_failures: 3,
        failure_ratio: 0.5,
        min_requests: 1000,
        window: 10 * SECOND,
        open: 10 * SECOND,
        max_open: 60 * SECOND,
        half_open_probes: 2,
    }
}

/// An attempt with this finding, which must be admitted.
fn attempt(breaker: &CircuitBreaker, finding: Finding, now: Instant) {
    let ticket = breaker.admit(now).unwrap();
    breaker.record(ticket, finding, now);
}

fn fail(breaker: &CircuitBreaker, times: usize, now: Instant) {
    (0..times).for_each(|_| attempt(breaker, Finding::Failure, now));
}

fn opened(policy: BreakerPolicy) -> (CircuitBreaker, Instant) {
    let start = any_instant();
    let breaker = CircuitBreaker::new(policy, start);
    fail(&breaker, policy.consecutive_failures as usize, start);
    assert_eq!(breaker.state(start), BreakerState::Open { until: start + policy.open });
    (breaker, start)
}

#[test]
fn each_outcome_has_its_finding() {
    use TimeoutPhase::{Connect, FirstToken, Headers, Idle, Total};
    let retry_after = None;
    let findings = [
        (Finding::Success, vec![Outcome::Success, Outcome::ClientFault, Outcome::ContextLength]),
        (
            Finding::Failure,
            vec![
                Outcome::ServerError,
                Outcome::Overloaded { retry_after },
                Outcome::InvalidResponse,
                Outcome::Transport,
                Outcome::Truncated,
                Outcome::Timeout(Connect),
                Outcome::Timeout(Headers),
                Outcome::Timeout(FirstToken),
                Outcome::Timeout(Idle),
            ],
        ),
        (
            Finding::Nothing,
            vec![
                Outcome::ModelMissing,
                Outcome::CredentialsRejected,
                Outcome::RateLimited { retry_after },
                Outcome::Timeout(Total),
                Outcome::Cancelled,
            ],
        ),
    ];
    for (finding, outcomes) in findings {
        for outcome in outcomes {
            assert_eq!(Finding::of(outcome), finding, "{outcome:?}");
        }
    }
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
    let start = any_instant();
    let breaker = CircuitBreaker::new(policy(), start);
    fail(&breaker, 2, start);
    attempt(&breaker, Finding::Success, start);
    fail(&breaker, 2, start);
    attempt(&breaker, Finding::Nothing, start);
    assert_eq!(breaker.state(start), BreakerState::Closed);
    fail(&breaker, 1, start);
    assert_eq!(breaker.state(start), BreakerState::Open { until: start + 10 * SECOND });
    assert!(breaker.admit(start + 9 * SECOND).is_none());
}

#[test]
fn a_share_of_failures_opens_it_once_there_are_enough_results() {
    let start = any_instant();
    let policy = BreakerPolicy { consecutive_failures: 100, failure_ratio: 0.3, min_requests: 10, ..policy() };
    let breaker = CircuitBreaker::new(policy, start);
    fail(&breaker, 3, start);
    (0..6).for_each(|_| attempt(&breaker, Finding::Success, start));
    assert_eq!(breaker.state(start), BreakerState::Closed, "nine results are too few");
    attempt(&breaker, Finding::Success, start);
    assert!(matches!(breaker.state(start), BreakerState::Open { .. }), "3 of 10 are exactly 0.3");
}

#[test]
fn failures_from_before_the_window_do_not_count() {
    let start = any_instant();
    let policy = BreakerPolicy { consecutive_failures: 100, min_requests: 2, failure_ratio: 1.0, ..policy() };
    let breaker = CircuitBreaker::new(policy, start);
    fail(&breaker, 1, start);
    fail(&breaker, 1, start + 10 * SECOND);
    assert_eq!(breaker.state(start + 10 * SECOND), BreakerState::Closed);
    fail(&breaker, 1, start + 19 * SECOND);
    assert!(matches!(breaker.state(start + 19 * SECOND), BreakerState::Open { .. }));
}

#[test]
fn probes_close_it_only_together() {
    let (breaker, start) = opened(policy());
    let now = start + 10 * SECOND;
    assert_eq!(breaker.state(now), BreakerState::HalfOpen);
    let (first, second) = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
    assert!(breaker.admit(now).is_none());
    breaker.record(first, Finding::Success, now);
    assert_eq!(breaker.state(now), BreakerState::HalfOpen);
    assert!(breaker.admit(now).is_none(), "one success and one probe that is out are enough");
    breaker.release(second);
    attempt(&breaker, Finding::Success, now);
    assert_eq!(breaker.state(now), BreakerState::Closed);
}

#[test]
fn each_reopening_doubles_the_open_time_up_to_the_cap_until_it_was_closed() {
    let (breaker, mut now) = opened(policy());
    let mut open = 10 * SECOND;
    for expected in [20, 40, 60, 60] {
        now += open;
        attempt(&breaker, Finding::Failure, now);
        open = expected * SECOND;
        assert_eq!(breaker.state(now), BreakerState::Open { until: now + open });
    }
    now += open;
    (0..2).for_each(|_| attempt(&breaker, Finding::Success, now));
    fail(&breaker, 3, now);
    assert_eq!(breaker.state(now), BreakerState::Open { until: now + 10 * SECOND });
}

#[test]
fn results_of_an_earlier_state_are_ignored() {
    let start = any_instant();
    let breaker = CircuitBreaker::new(policy(), start);
    let stale: Vec<_> = (0..3).map(|_| breaker.admit(start).unwrap()).collect();
    fail(&breaker, 3, start);
    let now = start + 10 * SECOND;
    (0..2).for_each(|_| attempt(&breaker, Finding::Success, now));
    for ticket in stale {
        breaker.record(ticket, Finding::Failure, now);
    }
    assert_eq!(breaker.state(now), BreakerState::Closed);
}

#[test]
fn probes_of_an_earlier_opening_still_take_up_room() {
    let (breaker, start) = opened(policy());
    let now = start + 10 * SECOND;
    let (slow, quick) = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
    breaker.record(quick, Finding::Failure, now);
    let now = now + 20 * SECOND;
    let probe = breaker.admit(now).unwrap();
    assert!(breaker.admit(now).is_none(), "two are out");
    breaker.record(slow, Finding::Failure, now);
    assert_eq!(breaker.state(now), BreakerState::HalfOpen, "it was a probe of another time");
    breaker.record(probe, Finding::Success, now);
    attempt(&breaker, Finding::Success, now);
    assert_eq!(breaker.state(now), BreakerState::Closed);
}

#[test]
fn a_last_resort_closes_it_by_success_and_does_not_prolong_it_by_failure() {
    let (breaker, start) = opened(policy());
    let last_resort = |finding| {
        let ticket = breaker.admit_last_resort(start).unwrap();
        breaker.record(ticket, finding, start);
        breaker.state(start)
    };
    let open = BreakerState::Open { until: start + 10 * SECOND };
    assert_eq!(last_resort(Finding::Success), open);
    assert_eq!(last_resort(Finding::Failure), open, "not prolonged");
    assert_eq!(last_resort(Finding::Success), open, "the success before the failure is undone");
    assert_eq!(last_resort(Finding::Nothing), open);
    assert_eq!(last_resort(Finding::Success), BreakerState::Closed);
    assert_eq!(last_resort(Finding::Failure), BreakerState::Closed, "an attempt like any other");
}

#[test]
fn a_last_resort_that_fails_after_the_open_time_does_not_reopen_it() {
    let (breaker, start) = opened(policy());
    let late = breaker.admit_last_resort(start).unwrap();
    let now = start + 10 * SECOND;
    breaker.record(late, Finding::Failure, now);
    assert_eq!(breaker.state(now), BreakerState::HalfOpen);
}

#[test]
fn a_policy_of_nothing_is_a_breaker_all_the_same() {
    let zero = Duration::ZERO;
    let policy = BreakerPolicy {
        consecutive_failures: 0,
        failure_ratio: 2.0,
        min_requests: 0,
        window: zero,
        open: zero,
        max_open: zero,
        half_open_probes: 0,
    };
    let start = any_instant();
    let breaker = CircuitBreaker::new(policy, start);
    attempt(&breaker, Finding::Success, start);
    attempt(&breaker, Finding::Failure, start);
    assert_ne!(breaker.state(start), BreakerState::Closed);
    let now = start + SECOND;
    attempt(&breaker, Finding::Success, now);
    assert_eq!(breaker.state(now), BreakerState::Closed);
    let forever = BreakerPolicy { consecutive_failures: 1, open: Duration::MAX, max_open: Duration::MAX, ..policy };
    let breaker = CircuitBreaker::new(forever, start);
    attempt(&breaker, Finding::Failure, now);
    assert!(breaker.admit(now + Duration::from_hours(1_000_000)).is_none());
}

#[test]
fn threads_never_have_more_probes_out_than_allowed() {
    const THREADS: usize = 4;
    let (breaker, start) = opened(policy());
    for now in [start, start + 10 * SECOND] {
        let (out, barrier) = (AtomicU64::new(0), Barrier::new(THREADS));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..1_000 {
                        let Some(ticket) = breaker.admit_last_resort(now) else { continue };
                        assert!(out.fetch_add(1, Ordering::SeqCst) < 2);
                        std::thread::yield_now();
                        out.fetch_sub(1, Ordering::SeqCst);
                        breaker.release(ticket);
                    }
                });
            }
        });
        assert_eq!(breaker.state.lock().probing, 0);
    }
}

/// What can happen to a breaker.
#[derive(Debug, Clone, Copy)]
enum Event {
    Admit,
    AdmitLastResort,
    Record(usize, Finding),
    Drop(usize),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let finding = prop_oneof![
        4 => Just(Finding::Failure),
        3 => Just(Finding::Success),
        1 => Just(Finding::Nothing)
    ];
    prop_oneof![
        8 => Just(Event::Admit),
        2 => Just(Event::AdmitLastResort),
        8 => (any::<usize>(), finding).prop_map(|(which, finding)| Event::Record(which, finding)),
        1 => any::<usize>().prop_map(Event::Drop),
        2 => prop_oneof![0_u64..300, 0_u64..3_000].prop_map(Event::Wait),
    ]
}

fn count<T>(of: impl IntoIterator<Item = T>) -> u32 {
    u32::try_from(of.into_iter().count()).unwrap()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// Times in milliseconds, so that a tenth of a window is whole.
fn any_policy() -> impl Strategy<Value = BreakerPolicy> {
    let tens = |tens: u64| Duration::from_millis(tens * 10);
    let ratio = prop_oneof![Just(0.3), Just(0.5), Just(1.0)];
    let opens_by = (1_u32..6, ratio, 1_u32..8, 1_u64..100);
    (opens_by, 1_u64..50, 1_u64..200, 1_u32..4).prop_map(move |(opens_by, open, max_open, half_open_probes)| {
        let (consecutive_failures, failure_ratio, min_requests, window) = opens_by;
        BreakerPolicy {
            consecutive_failures,
            failure_ratio,
            min_requests,
            window: tens(window),
            open: tens(open),
            max_open: tens(max_open),
            half_open_probes,
        }
    })
}

/// A breaker that remembers everything and derives what it needs from that.
struct Model {
    policy: BreakerPolicy,
    /// Milliseconds since the start.
    now: u64,
    /// What was recorded since the breaker was closed, while closed: the moment, and whether it failed.
    results: Vec<(u64, bool)>,
    /// The ends of the open times since the breaker was closed. None: it is closed.
    open_until: Vec<u64>,
    /// How often it changed.
    changes: usize,
    /// The findings of probes since it opened, up to the latest that undid those before.
    successes: u32,
    /// When the latest probe began.
    latest_probe: u64,
    /// Attempts that are out: when they were admitted, in how many changes, and how.
    out: Vec<Out>,
}

#[derive(Debug, Clone, Copy)]
struct Out {
    changes: usize,
    kind: Kind,
}

impl Model {
    fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            now: 0,
            results: vec![],
            open_until: vec![],
            changes: 0,
            successes: 0,
            latest_probe: 0,
            out: vec![],
        }
    }

    fn admits(&self, is_last_resort: bool) -> Option<Kind> {
        let probes_out = count(self.out.iter().filter(|it| it.kind != Kind::Ordinary));
        let has_room = probes_out + self.successes < self.policy.half_open_probes;
        match self.open_until.last() {
            None => Some(Kind::Ordinary),
            Some(until) if self.now >= *until && has_room => Some(Kind::Probe),
            Some(_) => {
                (is_last_resort && (has_room || self.now >= self.latest_probe + 1000)).then_some(Kind::LastResort)
            }
        }
    }

    fn record(&mut self, out: Out, finding: Finding) {
        match (out.changes == self.changes, out.kind, finding) {
            (false, ..) | (_, _, Finding::Nothing) => {}
            (_, Kind::Ordinary, finding) => {
                self.results.push((self.now, finding == Finding::Failure));
                if self.has_to_open() {
                    self.open();
                }
            }
            (_, _, Finding::Success) => {
                self.successes += 1;
                if self.successes == self.policy.half_open_probes {
                    (self.results, self.open_until) = (vec![], vec![]);
                    (self.successes, self.latest_probe) = (0, 0);
                    self.changes += 1;
                }
            }
            (_, Kind::Probe, Finding::Failure) => self.open(),
            (_, Kind::LastResort, Finding::Failure) => self.successes = 0,
        }
    }

    fn has_to_open(&self) -> bool {
        let in_a_row = count(self.results.iter().rev().take_while(|(_, failed)| *failed));
        let tenth = millis(self.policy.window) / 10;
        let oldest = (self.now / tenth).saturating_sub(9) * tenth;
        let recent: Vec<_> = self.results.iter().filter(|(at, _)| *at >= oldest).collect();
        let (all, failed) = (count(&recent), count(recent.iter().filter(|(_, failed)| *failed)));
        let is_enough = all >= self.policy.min_requests;
        in_a_row >= self.policy.consecutive_failures
            || (is_enough && f64::from(failed) / f64::from(all) >= self.policy.failure_ratio)
    }

    fn open(&mut self) {
        let mut open = self.policy.open;
        self.open_until.iter().for_each(|_| open *= 2);
        self.open_until.push(self.now + millis(open.min(self.policy.max_open)));
        self.successes = 0;
        self.changes += 1;
    }
}

proptest! {
    #[test]
    fn it_does_what_a_breaker_that_remembers_everything_would(
        policy in any_policy(),
        events in prop::collection::vec(event(), 1..200),
    ) {
        let start = any_instant();
        let (breaker, mut model) = (CircuitBreaker::new(policy, start), Model::new(policy));
        let mut out = Vec::new();
        for event in events {
            let now = start + Duration::from_millis(model.now);
            match event {
                Event::Admit | Event::AdmitLastResort => {
                    let is_last_resort = matches!(event, Event::AdmitLastResort);
                    let ticket = if is_last_resort { breaker.admit_last_resort(now) } else { breaker.admit(now) };
                    let kind = model.admits(is_last_resort);
                    prop_assert_eq!(ticket.as_ref().map(|it| it.kind), kind);
                    if let (Some(ticket), Some(kind)) = (ticket, kind) {
                        if kind != Kind::Ordinary {
                            model.latest_probe = model.now;
                        }
                        out.push(ticket);
                        model.out.push(Out { changes: model.changes, kind });
                    }
                }
                Event::Record(which, finding) if !out.is_empty() => {
                    let which = which % out.len();
                    breaker.record(out.swap_remove(which), finding, now);
                    let gone = model.out.swap_remove(which);
                    model.record(gone, finding);
                }
                Event::Drop(which) if !out.is_empty() => {
                    let which = which % out.len();
                    breaker.release(out.swap_remove(which));
                    model.out.swap_remove(which);
                }
                Event::Record(..) | Event::Drop(_) => {}
                Event::Wait(millis) => model.now += millis,
            }
            let now = start + Duration::from_millis(model.now);
            let expected = match model.open_until.last() {
                None => BreakerState::Closed,
                Some(until) if model.now < *until => {
                    BreakerState::Open { until: start + Duration::from_millis(*until) }
                }
                Some(_) => BreakerState::HalfOpen,
            };
            prop_assert_eq!(breaker.state(now), expected);
            prop_assert!(out.iter().filter(|it| it.kind == Kind::Probe).count() <= policy.half_open_probes as usize);
        }
    }

    #[test]
    fn it_never_closes_but_by_as_many_successful_probes(
        policy in any_policy(),
        events in prop::collection::vec(event(), 1..200),
    ) {
        let start = any_instant();
        let (breaker, mut now) = (CircuitBreaker::new(policy, start), start);
        let (mut out, mut successes, mut before) = (Vec::new(), 0, BreakerState::Closed);
        for event in events {
            match event {
                Event::Admit => out.extend(breaker.admit(now)),
                Event::AdmitLastResort => out.extend(breaker.admit_last_resort(now)),
                Event::Record(which, finding) if !out.is_empty() => {
                    let ticket = out.swap_remove(which % out.len());
                    successes += u32::from(ticket.is_probe() && finding == Finding::Success);
                    breaker.record(ticket, finding, now);
                }
                Event::Drop(which) if !out.is_empty() => breaker.release(out.swap_remove(which % out.len())),
                Event::Record(..) | Event::Drop(_) => {}
                Event::Wait(millis) => now += Duration::from_millis(millis),
            }
            let after = breaker.state(now);
            match (before, after) {
                (BreakerState::Closed, BreakerState::Open { .. }) => successes = 0,
                (BreakerState::Closed, BreakerState::HalfOpen) => prop_assert!(false, "half-open without being open"),
                (BreakerState::Open { .. } | BreakerState::HalfOpen, BreakerState::Closed) => {
                    prop_assert!(successes >= policy.half_open_probes);
                }
                _ => {}
            }
            before = after;
        }
    }
}
