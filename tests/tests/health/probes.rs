//! What becomes of an open target: it is probed when its time is over, and before that if there is nobody else.

use std::time::Duration;

use gateway_testing::{Answer, Gate, Script};
use gateway_tests::stage::{CALL, CHAT, Stage};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{ALONE, FALLBACK, TIERS, count, failing, good, held, scene, served, spawn_smallest, trail};

/// Makes calls until the first target receives its request of this number, which its script must hold; gives that call.
async fn probe(stage: &Stage, number: usize) -> JoinHandle<Answer> {
    loop {
        let mut call = spawn_smallest(stage);
        tokio::select! {
            _ = stage.upstream.request(number) => return call,
            answer = &mut call => assert_eq!(answer.unwrap().header("x-gateway-provider"), "spare"),
        }
    }
}

/// What a call came to, and where.
async fn outcome(call: JoinHandle<Answer>) -> (u16, String) {
    let answer = call.await.unwrap();
    (answer.status.as_u16(), answer.header("x-gateway-provider").to_owned())
}

#[tokio::test]
async fn a_half_open_target_gets_so_many_calls_and_closes_when_they_succeed() {
    let settings = "circuit_breaker: { consecutive_failures: 1, open: 50ms, max_open: 50ms, half_open_probes: 2 }";
    let stage = scene(TIERS, settings).await;
    let gate = Gate::new();
    stage.upstream.push(failing());
    let kept = gate.clone();
    stage.upstream.otherwise(move |_| held(&kept, 200));
    assert_eq!(served(&stage).await, "spare");

    let probes = [probe(&stage, 1).await, probe(&stage, 2).await];
    for _ in 0..5 {
        assert_eq!(served(&stage).await, "spare", "two are out");
    }
    assert_eq!(count(&stage.upstream), 3);
    gate.open();
    for probe in probes {
        assert_eq!(outcome(probe).await, (200, "main".to_owned()));
    }

    let gate = Gate::new();
    let kept = gate.clone();
    stage.upstream.otherwise(move |_| held(&kept, 200));
    let calls = [(); 4].map(|()| spawn_smallest(&stage));
    stage.upstream.request(6).await;
    gate.open();
    for call in calls {
        assert_eq!(outcome(call).await, (200, "main".to_owned()), "a closed target takes any number at once");
    }
}

#[tokio::test]
async fn a_probe_that_its_caller_abandons_makes_room_for_another() {
    let settings = "circuit_breaker: { consecutive_failures: 1, open: 20ms, max_open: 20ms, half_open_probes: 1 }";
    let stage = scene(TIERS, settings).await;
    stage.upstream.push(failing());
    assert_eq!(served(&stage).await, "spare");
    for number in 1..4 {
        stage.upstream.push(Script::new().stall());
        let abandoned = probe(&stage, number).await;
        assert_eq!(served(&stage).await, "spare", "one is out");
        abandoned.abort();
        stage.upstream.connection_closed(stage.upstream.request(number).await.connection).await;
    }
    let (gate, number) = (Gate::new(), count(&stage.upstream));
    stage.upstream.push(held(&gate, 200));
    let last = probe(&stage, number).await;
    gate.open();
    assert_eq!(outcome(last).await, (200, "main".to_owned()));
    assert_eq!(served(&stage).await, "main", "one success is all that it takes");
}

/// Only lower bounds are checked, which hold on a machine of any speed.
#[tokio::test]
async fn a_failed_probe_opens_it_for_twice_as_long() {
    let settings = "circuit_breaker: { consecutive_failures: 1, open: 100ms, max_open: 60s, half_open_probes: 2 }";
    let stage = scene(TIERS, settings).await;
    stage.upstream.otherwise(|_| failing());
    let mut last: Option<Instant> = None;
    for (number, open) in [0, 100, 200, 400].into_iter().enumerate() {
        loop {
            let began = Instant::now();
            assert_eq!(served(&stage).await, "spare");
            if count(&stage.upstream) > number {
                let closed_for = last.replace(began).map_or(Duration::ZERO, |last| last.elapsed());
                assert!(closed_for >= Duration::from_millis(open), "{number}: probed after {closed_for:?}");
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(count(&stage.upstream), number + 1, "one failed probe is enough");
    }
}

/// Opens at the first failure, for longer than any test runs; one probe at a time.
const SHUT: &str = "circuit_breaker: { consecutive_failures: 1, open: 60s, max_open: 60s, half_open_probes: 1 }";

#[tokio::test]
async fn the_only_target_is_asked_although_it_is_open() {
    let stage = scene(ALONE, SHUT).await;
    stage.upstream.otherwise(|_| failing());
    for number in 1..=5 {
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_error"), "{number}");
        assert_eq!(trail(&answer.json()), ["main:server_error"], "{number}");
        assert_eq!(count(&stage.upstream), number);
    }
    stage.upstream.otherwise(|_| good());
    for _ in 0..3 {
        assert_eq!(served(&stage).await, "main", "the very next call finds out that it is well again");
    }
}

#[tokio::test]
async fn a_call_that_may_not_even_probe_is_refused() {
    let stage = scene(ALONE, SHUT).await;
    let gate = Gate::new();
    stage.upstream.push(failing());
    stage.upstream.push(held(&gate, 200));
    assert_eq!(stage.post(CHAT, CALL).await.status, 502);
    let probe = spawn_smallest(&stage);
    stage.upstream.request(1).await;

    for _ in 0..3 {
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (503, "no_healthy_target"), "{}", answer.text());
        assert_eq!(answer.json()["error"]["type"], "overloaded_error");
        let wait: u64 = answer.header("retry-after").parse().expect("whole seconds");
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert_eq!(count(&stage.upstream), 2, "nothing is sent for a refused call");
    gate.open();
    assert_eq!(outcome(probe).await, (200, "main".to_owned()));
    assert_eq!(served(&stage).await, "main");
}

#[tokio::test]
async fn of_several_open_targets_the_one_that_is_due_first_is_asked() {
    let stage = scene(TIERS, SHUT).await;
    stage.other.push(failing());
    stage.upstream.push(failing());
    // The first target fails, then the second: the first has been open for longer.
    assert_eq!(stage.post(CHAT, CALL).await.status, 502);
    assert_eq!(served(&stage).await, "main");
    assert_eq!((count(&stage.upstream), count(&stage.other)), (2, 1));
}

#[tokio::test]
async fn of_several_models_the_first_is_asked() {
    let stage = scene(FALLBACK, SHUT).await;
    stage.upstream.push(failing());
    stage.other.push(failing());
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!(trail(&answer.json()), ["main:server_error", "spare:server_error"]);
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-gateway-model")), (200, "gpt-4o"));
    assert_eq!((count(&stage.upstream), count(&stage.other)), (2, 1));
}
