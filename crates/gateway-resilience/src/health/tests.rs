use std::sync::Barrier;

use gateway_call::TimeoutPhase;
use proptest::prelude::*;

use super::*;
use crate::epoch::any_instant;

const SECOND: Duration = Duration::from_secs(1);

fn target(keys: usize) -> (Arc<TargetHealth>, Instant) {
    let start = any_instant();
    let credentials = Arc::new(CredentialPool::new(keys, start));
    (Arc::new(TargetHealth::new(BreakerPolicy::default(), credentials, start)), start)
}

fn finish(health: &Arc<TargetHealth>, credential: usize, outcome: Outcome, now: Instant) {
    health.admit(now).unwrap().finish(credential, outcome, now);
}

fn rate_limited(seconds: u64) -> Outcome {
    Outcome::RateLimited { retry_after: Some(Duration::from_secs(seconds)) }
}

fn overloaded(seconds: u64) -> Outcome {
    Outcome::Overloaded { retry_after: Some(Duration::from_secs(seconds)) }
}

fn cooling(until: Instant) -> Standing {
    Standing::Cooling { until }
}

/// Has the breaker open, by failures alone.
fn break_down(health: &Arc<TargetHealth>, now: Instant) -> Instant {
    (0..5).for_each(|_| finish(health, 0, Outcome::ServerError, now));
    now + BreakerPolicy::default().open
}

#[test]
fn fitter_is_less() {
    let (start, later) = (any_instant(), any_instant() + SECOND);
    let mut standings = [
        Standing::Open { until: later },
        cooling(later),
        Standing::Open { until: start },
        Standing::Available,
        cooling(start),
    ];
    standings.sort_unstable();
    let expected = [
        Standing::Available,
        cooling(start),
        cooling(later),
        Standing::Open { until: start },
        Standing::Open { until: later },
    ];
    assert_eq!(standings, expected);
}

#[test]
fn a_rate_limit_cools_one_credential_here_until_its_time() {
    let (health, start) = target(2);
    finish(&health, 0, rate_limited(20), start);
    assert_eq!((health.standing(start), health.credential(start, 0)), (Standing::Available, 1));
    finish(&health, 1, rate_limited(5), start);
    assert_eq!((health.standing(start), health.cool_down(start)), (cooling(start + 5 * SECOND), 5 * SECOND));
    let now = start + 5 * SECOND;
    assert_eq!((health.standing(now), health.credential(now, 0)), (Standing::Available, 1));
    assert_eq!(health.credential(start + 20 * SECOND, 0), 0, "back to the first");
}

#[test]
fn what_was_not_said_or_is_too_long_is_bounded() {
    let cases = [
        (Outcome::RateLimited { retry_after: None }, SECOND),
        (Outcome::RateLimited { retry_after: Some(Duration::ZERO) }, Duration::ZERO),
        (Outcome::RateLimited { retry_after: Some(Duration::MAX) }, 300 * SECOND),
        (Outcome::Overloaded { retry_after: None }, Duration::ZERO),
        (Outcome::Overloaded { retry_after: Some(Duration::MAX) }, 300 * SECOND),
        (Outcome::CredentialsRejected, 60 * SECOND),
        (Outcome::ServerError, Duration::ZERO),
        (Outcome::Success, Duration::ZERO),
    ];
    for (outcome, expected) in cases {
        let (health, start) = target(1);
        finish(&health, 0, outcome, start);
        assert_eq!(health.cool_down(start), expected, "{outcome:?}");
        assert_eq!(health.standing(start + expected), Standing::Available, "{outcome:?}");
    }
}

#[test]
fn an_overload_with_a_time_cools_all_credentials_and_counts_as_a_failure() {
    let (health, start) = target(3);
    finish(&health, 1, overloaded(7), start);
    assert_eq!(health.standing(start), cooling(start + 7 * SECOND));
    (0..4).for_each(|_| finish(&health, 1, Outcome::Overloaded { retry_after: None }, start));
    assert!(matches!(health.standing(start), Standing::Open { .. }), "which is worse than cooling");
}

#[test]
fn neither_rate_limits_nor_rejected_credentials_open_the_breaker() {
    let (health, start) = target(1);
    for _ in 0..100 {
        finish(&health, 0, rate_limited(1), start);
        finish(&health, 0, Outcome::CredentialsRejected, start);
        finish(&health, 0, Outcome::Timeout(TimeoutPhase::Total), start);
    }
    assert_eq!(health.breaker(start), BreakerState::Closed);
}

#[test]
fn a_credential_is_rejected_for_the_whole_provider_and_cools_at_one_target() {
    let start = any_instant();
    let credentials = Arc::new(CredentialPool::new(3, start));
    let [here, there] =
        [(), ()].map(|()| Arc::new(TargetHealth::new(BreakerPolicy::default(), Arc::clone(&credentials), start)));
    finish(&here, 0, Outcome::CredentialsRejected, start);
    finish(&here, 1, rate_limited(30), start);
    assert_eq!((here.credential(start, 0), there.credential(start, 0)), (2, 1));
    assert_eq!([0, 1, 2].map(|key| credentials.is_rejected(key, start)), [true, false, false]);
    let now = start + 60 * SECOND;
    assert_eq!((here.credential(now, 0), there.credential(now, 0)), (0, 0));
}

#[test]
fn the_credential_is_the_first_usable_unused_else_the_first_usable_else_the_soonest() {
    let (health, start) = target(3);
    let of = |used| (health.credential(start, used), health.has_other_credential(start, used));
    assert_eq!([0b000, 0b001, 0b011, 0b101].map(of), [(0, true), (1, true), (2, true), (1, true)]);
    assert_eq!(of(0b111), (0, false));
    finish(&health, 0, rate_limited(30), start);
    let of = |used| (health.credential(start, used), health.has_other_credential(start, used));
    assert_eq!([0b000, 0b010, 0b110].map(of), [(1, true), (2, true), (1, false)]);
    finish(&health, 1, Outcome::CredentialsRejected, start);
    finish(&health, 2, rate_limited(31), start);
    let of = |used| (health.credential(start, used), health.has_other_credential(start, used));
    assert_eq!([0b000, 0b001].map(of), [(0, false), (0, false)]);
}

#[test]
fn a_credential_that_does_not_exist_is_nobodys() {
    let (health, start) = target(1);
    finish(&health, 5, rate_limited(30), start);
    finish(&health, 5, Outcome::CredentialsRejected, start);
    assert_eq!(health.standing(start), Standing::Available);
}

#[test]
fn standing_is_open_only_while_the_open_time_runs() {
    let (health, start) = target(1);
    let until = break_down(&health, start);
    assert_eq!(
        (health.standing(start), health.breaker(start)),
        (Standing::Open { until }, BreakerState::Open { until })
    );
    assert!(health.admit(start).is_none());
    assert_eq!((health.standing(until), health.breaker(until)), (Standing::Available, BreakerState::HalfOpen));
}

#[test]
fn a_probe_succeeds_with_its_first_content_whatever_comes_after() {
    let (health, start) = target(1);
    let now = break_down(&health, start);
    let mut probes = [health.admit(now).unwrap(), health.admit(now).unwrap()];
    assert!(health.admit(now).is_none());
    for probe in &mut probes {
        probe.first_content(SECOND, now);
    }
    assert_eq!((health.breaker(now), health.in_flight()), (BreakerState::Closed, 2));
    for probe in probes {
        probe.finish(0, Outcome::Truncated, now);
    }
    (0..4).for_each(|_| finish(&health, 0, Outcome::Truncated, now));
    assert_eq!(health.breaker(now), BreakerState::Closed, "the probes are not among the failures");
    assert_eq!(health.in_flight(), 0);
}

#[test]
fn of_an_ordinary_attempt_the_end_counts() {
    let (health, start) = target(1);
    for _ in 0..5 {
        let mut pass = health.admit(start).unwrap();
        pass.first_content(SECOND, start);
        pass.finish(0, Outcome::Truncated, start);
    }
    assert!(matches!(health.breaker(start), BreakerState::Open { .. }));
}

#[test]
fn a_cancelled_probe_makes_room_and_a_last_resort_is_bounded_too() {
    let (health, start) = target(1);
    let now = break_down(&health, start);
    let probes = [health.admit_last_resort(start).unwrap(), health.admit_last_resort(start).unwrap()];
    assert!(health.admit_last_resort(start).is_none());
    assert!(health.admit(now).is_none(), "as many are out as may be");
    drop(probes);
    assert_eq!(health.in_flight(), 0);
    assert!(health.admit(now).is_some());
}

#[test]
fn speed_is_known_from_first_contents() {
    let (health, start) = target(1);
    assert_eq!((health.latency(start), health.quantile(0.5, start)), (None, None));
    for millis in 1..=100_u64 {
        let mut pass = health.admit(start).unwrap();
        pass.first_content(Duration::from_millis(millis * 10), start);
        pass.finish(0, Outcome::Success, start);
    }
    let latency = health.latency(start).unwrap();
    assert!(latency.abs_diff(SECOND) < Duration::from_micros(1), "{latency:?}");
    let p95 = health.quantile(0.95, start).unwrap().as_millis();
    assert!((950..=1010).contains(&p95), "{p95} ms");
    assert_eq!(health.quantile(0.95, start + 120 * SECOND), None, "forgotten");
}

#[test]
fn threads_leave_nothing_in_flight() {
    const THREADS: usize = 4;
    let (health, start) = target(2);
    let outcomes = [Outcome::Success, Outcome::ServerError, rate_limited(1), Outcome::Cancelled, overloaded(1)];
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (health, barrier) = (&health, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for turn in 0..3_000_u32 {
                    let now = start + Duration::from_millis(u64::from(turn) * 50);
                    let Some(mut pass) = health.admit(now).or_else(|| health.admit_last_resort(now)) else { continue };
                    assert!(health.in_flight() >= 1);
                    if turn % 3 == 0 {
                        pass.first_content(Duration::from_millis(u64::from(turn)), now);
                    }
                    if turn % 7 != 0 {
                        let outcome = outcomes[(turn as usize + thread) % outcomes.len()];
                        pass.finish(health.credential(now, 0), outcome, now);
                    }
                }
            });
        }
    });
    assert_eq!(health.in_flight(), 0);
    let now = start + Duration::from_hours(1);
    for _ in 0..2 {
        health.admit(now).unwrap().finish(0, Outcome::Success, now);
    }
    assert_eq!(health.breaker(now), BreakerState::Closed, "no probe was lost");
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Admit,
    AdmitLastResort,
    FirstContent(usize, u64),
    Finish(usize, Outcome),
    Drop(usize),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        Just(Outcome::Success),
        Just(Outcome::ServerError),
        Just(Outcome::ServerError),
        Just(Outcome::CredentialsRejected),
        Just(Outcome::Cancelled),
        (0_u64..90).prop_map(rate_limited),
        (0_u64..20).prop_map(overloaded),
    ];
    prop_oneof![
        6 => Just(Event::Admit),
        2 => Just(Event::AdmitLastResort),
        2 => (any::<usize>(), 0_u64..5_000).prop_map(|(which, millis)| Event::FirstContent(which, millis)),
        5 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Event::Finish(which, outcome)),
        1 => any::<usize>().prop_map(Event::Drop),
        1 => (0_u64..20_000).prop_map(Event::Wait),
    ]
}

/// When each credential is of use again here, and the target whatever the credential.
#[derive(Debug)]
struct Waits {
    keys: Vec<Instant>,
    all: Instant,
}

impl Waits {
    fn note(&mut self, credential: usize, outcome: Outcome, now: Instant) {
        let key = &mut self.keys[credential];
        match outcome {
            Outcome::RateLimited { retry_after: Some(wait) } => *key = (*key).max(now + wait),
            Outcome::CredentialsRejected => *key = (*key).max(now + 60 * SECOND),
            Outcome::Overloaded { retry_after: Some(wait) } => self.all = self.all.max(now + wait),
            _ => {}
        }
    }

    fn end(&self) -> Instant {
        self.keys.iter().copied().min().unwrap().max(self.all)
    }
}

proptest! {
    #[test]
    fn what_is_known_follows_from_what_happened(keys in 1_usize..4, events in prop::collection::vec(event(), 1..150)) {
        let (health, mut now) = target(keys);
        let mut waits = Waits { keys: vec![now; keys], all: now };
        let mut out = Vec::new();
        for (at, event) in events.into_iter().enumerate() {
            match event {
                Event::Admit => out.extend(health.admit(now)),
                Event::AdmitLastResort => out.extend(health.admit_last_resort(now)),
                Event::Wait(millis) => now += Duration::from_millis(millis),
                _ if out.is_empty() => {}
                Event::FirstContent(which, millis) => {
                    let which = which % out.len();
                    out[which].first_content(Duration::from_millis(millis), now);
                }
                Event::Finish(which, outcome) => {
                    out.swap_remove(which % out.len()).finish(at % keys, outcome, now);
                    waits.note(at % keys, outcome, now);
                }
                Event::Drop(which) => drop(out.swap_remove(which % out.len())),
            }
            prop_assert_eq!(health.in_flight() as usize, out.len());
            prop_assert_eq!(health.cool_down(now), waits.end().saturating_duration_since(now));
            let expected = match health.breaker(now) {
                BreakerState::Open { until } => Standing::Open { until },
                _ if waits.end() > now => cooling(waits.end()),
                _ => Standing::Available,
            };
            prop_assert_eq!(health.standing(now), expected);
            prop_assert_eq!(health.has_other_credential(now, 0), waits.keys.iter().any(|until| *until <= now));
            let chosen = waits.keys[health.credential(now, 0)];
            prop_assert!(chosen <= now || waits.keys.iter().all(|until| *until >= chosen));
        }
        out.clear();
        prop_assert_eq!(health.in_flight(), 0);
    }
}

#[test]
fn an_attempt_that_was_outpaced_counts_for_the_speed_and_not_for_the_breaker() {
    let (health, start) = target(1);
    assert_eq!(health.quantile(0.5, start), None);
    for _ in 0..30 {
        drop(health.admit(start).unwrap());
        health.outpaced(SECOND, start);
    }
    assert!(health.latency(start).unwrap().abs_diff(SECOND) < Duration::from_micros(1));
    assert!(health.quantile(0.5, start).unwrap() >= SECOND);
    assert_eq!((health.breaker(start), health.in_flight()), (BreakerState::Closed, 0));
}
