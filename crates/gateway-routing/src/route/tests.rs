//! Routes over real health: what a call sees of targets that fail, cool down and recover.

use std::time::Duration;

use gateway_call::Outcome;
use gateway_resilience::{BreakerPolicy, CredentialPool};

use super::*;
use crate::identity;
use crate::identity::mix;
use crate::policy::tests::{call, policies};
use crate::{LeastInFlight, PowerOfTwoChoices, Weighted};

const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "a point to count from; nothing is measured")]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// A target of weight 1 in the first tier that has not served yet.
pub(crate) fn target(name: &str) -> Target {
    healthy(name, start())
}

fn healthy(name: &str, now: Instant) -> Target {
    let credentials = Arc::new(CredentialPool::new(1, now));
    Target {
        provider: 0,
        model: UpstreamModel::Same,
        weight: 1,
        priority: 1,
        health: Arc::new(TargetHealth::new(BreakerPolicy::default(), credentials, now)),
        identity: identity(&[name]),
    }
}

fn route(policy: Arc<dyn RoutingPolicy>, now: Instant, len: usize) -> Route {
    let targets = (0..len).map(|number| healthy(&format!("target-{number}"), now)).collect();
    Route::new(targets, policy).unwrap()
}

fn rank(route: &Route, now: Instant, random: u64, affinity: Option<u64>) -> Vec<usize> {
    route.rank(&call(), Moment { now, random, affinity }).iter().collect()
}

/// Lets an attempt at a target end like this.
fn conclude(route: &Route, index: usize, outcome: Outcome, now: Instant) {
    route.targets()[index].health.admit(now).unwrap().finish(0, outcome, now);
}

fn cool_down(route: &Route, index: usize, wait: Duration, now: Instant) {
    conclude(route, index, Outcome::RateLimited { retry_after: Some(wait) }, now);
}

/// Fails as often as opens the breaker.
fn break_down(route: &Route, index: usize, now: Instant) {
    for _ in 0..BreakerPolicy::default().consecutive_failures {
        conclude(route, index, Outcome::ServerError, now);
    }
}

/// Serves a call whose first content takes this long.
fn serve(route: &Route, index: usize, latency: Duration, now: Instant) {
    let mut pass = route.targets()[index].health.admit(now).unwrap();
    pass.first_content(latency, now);
    pass.finish(0, Outcome::Success, now);
}

#[test]
fn a_route_has_some_targets_and_not_too_many() {
    let now = start();
    let build = |len| Route::new(vec![healthy("any", now); len], Arc::new(Weighted)).map(|route| route.targets().len());
    assert_eq!(build(0), Err(RouteError::NoTargets));
    assert_eq!(build(64), Ok(64));
    assert_eq!(build(65), Err(RouteError::TooManyTargets { found: 65 }));
}

#[test]
fn all_targets_are_ranked_however_many_there_are() {
    let now = start();
    for (name, policy) in policies() {
        for len in [1, 2, 4, 5, 16, 17, 64] {
            let route = route(Arc::clone(&policy), now, len);
            let mut order = rank(&route, now, 0xdead_beef_0bad_cafe, Some(len as u64));
            order.sort_unstable();
            assert_eq!(order, (0..len).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn each_call_takes_a_turn() {
    let now = start();
    let weights = [3, 0, 2];
    let targets = weights.map(|weight| Target { weight, ..healthy("any", now) });
    let route = Route::new(targets.into(), Arc::new(Weighted)).unwrap();
    let firsts: Vec<_> = (0..6).map(|_| rank(&route, now, 0, None)[0]).collect();
    assert_eq!(firsts, [0, 2, 0, 1, 2, 0], "a weight of zero counts as one");
}

#[test]
fn targets_out_of_order_stand_last_until_they_are_well() {
    let now = start();
    for (name, policy) in policies() {
        let route = route(policy, now, 4);
        break_down(&route, 0, now);
        cool_down(&route, 1, 20 * SECOND, now);
        cool_down(&route, 3, 5 * SECOND, now);
        for random in [0, u64::MAX, 1 << 40] {
            for affinity in [None, Some(random)] {
                assert_eq!(rank(&route, now, random, affinity), [2, 3, 1, 0], "{name}");
                let later = now + 6 * SECOND;
                assert_eq!(rank(&route, later, random, affinity)[2..], [1, 0], "{name}");
                let later = now + 21 * SECOND;
                assert_eq!(rank(&route, later, random, affinity)[3], 0, "{name}");
            }
        }
        let later = now + 31 * SECOND;
        let leads = (0..40).any(|number| rank(&route, later, mix(number), Some(number))[0] == 0);
        assert!(leads, "{name}: a breaker whose time is up is due for a probe");
    }
}

#[test]
fn a_key_comes_back_to_its_target() {
    let now = start();
    for (name, policy) in policies() {
        let route = route(policy, now, 5);
        let home = rank(&route, now, 0, Some(7))[0];
        cool_down(&route, home, 10 * SECOND, now);
        let refuge = rank(&route, now, 1, Some(7))[0];
        assert_ne!(refuge, home, "{name}");
        assert_eq!(rank(&route, now + SECOND, 2, Some(7))[0], refuge, "{name}");
        assert_eq!(rank(&route, now + 11 * SECOND, 3, Some(7))[0], home, "{name}");
    }
}

#[test]
fn attempts_in_flight_count_until_they_end() {
    let now = start();
    let route = route(Arc::new(LeastInFlight), now, 3);
    let passes: Vec<_> = [0, 0, 1].map(|index| route.targets()[index].health.admit(now).unwrap()).into();
    assert_eq!(rank(&route, now, 0, None), [2, 1, 0]);
    drop(passes);
    let firsts: std::collections::BTreeSet<_> = (0..3).map(|_| rank(&route, now, 0, None)[0]).collect();
    assert_eq!(firsts.len(), 3);
}

#[test]
fn a_key_goes_elsewhere_while_its_target_is_crowded() {
    let now = start();
    let route = route(Arc::new(Weighted), now, 4);
    let home = rank(&route, now, 0, Some(7))[0];
    let health = &route.targets()[home].health;
    // With four calls here and none elsewhere the bound is ceil(1.25 * 5 / 4), which is two.
    let passes: Vec<_> = (0..4).map(|_| health.admit(now).unwrap()).collect();
    assert_ne!(rank(&route, now, 0, Some(7))[0], home);
    drop(passes);
    assert_eq!(rank(&route, now, 0, Some(7))[0], home);
}

#[test]
fn the_faster_of_two_leads() {
    let now = start();
    let route = route(Arc::new(PowerOfTwoChoices), now, 2);
    serve(&route, 0, Duration::from_millis(300), now);
    assert_eq!(rank(&route, now, 0, None), [1, 0], "not tried yet");
    serve(&route, 1, Duration::from_millis(100), now);
    for random in [0, u64::MAX, 1 << 63, 1 << 31] {
        assert_eq!(rank(&route, now, random, None), [1, 0]);
    }
}

#[test]
fn a_slow_target_is_tried_again_after_a_while() {
    let mut now = start();
    let route = route(Arc::new(PowerOfTwoChoices), now, 3);
    let latencies = [50, 100, 400].map(Duration::from_millis);
    let mut served = [0; 3];
    for number in 0..2_000 {
        let first = rank(&route, now, mix(number), None)[0];
        serve(&route, first, latencies[first], now);
        served[first] += 1;
        now += Duration::from_millis(50);
    }
    assert!(served[0] > served[1] && served[1] > served[2] && served[2] > 1, "{served:?}");
}

#[test]
fn routes_share_what_is_known_of_a_target() {
    let now = start();
    let targets = vec![healthy("a", now), healthy("b", now)];
    let one = Route::new(targets.clone(), Arc::new(Weighted)).unwrap();
    let other = Route::new(targets, Arc::new(Weighted)).unwrap();
    cool_down(&one, 0, SECOND, now);
    assert_eq!(rank(&other, now, 0, None), [1, 0]);
}
