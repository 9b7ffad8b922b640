//! Retries and hedges are requests like any other: together with the calls' first they never exceed a provider's places.

use std::sync::Arc;

use gateway_testing::{Gate, Script};
use gateway_tests::stage::Stage;
use parking_lot::Mutex;
use tokio::time::Duration;

use super::scene::{Caller, PATIENT, all_are_served, held, marks, room, stage_of};

/// How many requests the upstream gets at once.
const PLACES: usize = 3;

const RETRIED: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: [gpt-4o], max_in_flight: 3 }
retry: { max_retries: 3, base_delay: 1ms, max_delay: 1ms, budget: { ratio: 1, min_per_second: 1000 } }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
master_keys:
"#;

/// Two providers, the first of which is asked first, and a second attempt beside it at once.
const HEDGED: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: [gpt-4o], max_in_flight: 2 }
  - { name: other, api_base: "${OTHER}", model_mapping: [gpt-4o], max_in_flight: 1 }
models:
  gpt-4o:
    balance: priority
    hedge: { after: 20ms, max: 3 }
    targets: [ { provider: main, priority: 1 }, { provider: other, priority: 2 } ]
retry: { max_retries: 0 }
master_keys:
"#;

async fn stage(config: &str, queue: &str) -> Stage {
    stage_of(config, &room(100, queue), "").await
}

/// The requests of all attempts are answered one by one, so that it is known how many are there at once.
#[tokio::test(flavor = "multi_thread")]
async fn retries_need_a_place() {
    let stage = stage(RETRIED, &format!("size: 50, {PATIENT}")).await;
    let gates: Arc<Mutex<Vec<Gate>>> = Arc::default();
    let (added, seen) = (Arc::clone(&gates), Mutex::new(Vec::new()));
    stage.upstream.otherwise(move |request| {
        let gate = Gate::new();
        added.lock().push(gate.clone());
        let mark = marks(std::slice::from_ref(request)).remove(0);
        let mut seen = seen.lock();
        let is_again = seen.contains(&mark);
        seen.push(mark);
        Script::new().wait(&gate).answer(if is_again { 200 } else { 500 }, "application/json", "{}")
    });
    let mut callers = Vec::new();
    for number in 0..8 {
        callers.push(Caller::come(&stage, "a", &format!("call-{number}")).await);
    }
    stage.upstream.request(PLACES - 1).await;
    let answering = tokio::spawn(async move {
        let mut replies = Vec::new();
        for caller in callers {
            replies.push(caller.reply().await);
        }
        replies
    });
    let (mut answered, mut most) = (0, 0);
    while !answering.is_finished() {
        let there = stage.upstream.requests().len();
        most = most.max(there - answered);
        assert!(there - answered <= PLACES, "{there} requests, {answered} of them answered");
        if there > answered {
            let gate = gates.lock()[answered].clone();
            // Counted before it is answered: from then on there may be another.
            answered += 1;
            gate.open();
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(most, PLACES);
    for reply in answering.await.unwrap() {
        assert_eq!((reply.status, reply.header("x-gateway-attempts")), (200, "2"), "{}", reply.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hedge_takes_a_place() {
    let stage = stage(HEDGED, "size: 0").await;
    let gate = Gate::new();
    let mut callers = Vec::new();
    for number in 0..2 {
        stage.upstream.push(held(&gate));
        stage.other.push(held(&gate));
        callers.push(Caller::come(&stage, "a", &format!("call-{number}")).await);
        stage.upstream.request(number).await;
        stage.other.request(0).await;
    }
    // The first call has two places, the second one, and there are no more.
    Caller::come(&stage, "a", "beyond").await.turned_away().await;
    gate.open();
    all_are_served(&stage, callers).await;
    assert_eq!((stage.upstream.requests().len(), stage.other.requests().len()), (2, 1));
}

/// Where there is no room for a hedge, the first attempt goes on alone. The call is held for long enough to be hedged.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_place_there_is_no_hedge() {
    let stage = stage(HEDGED, "size: 0").await;
    let gate = Gate::new();
    stage.upstream.push(Script::new().stall());
    stage.other.push(held(&gate));
    let first = Caller::come(&stage, "a", "first").await;
    stage.other.request(0).await;
    stage.upstream.push(Script::new().pause(Duration::from_millis(250)).answer(200, "application/json", "{}"));
    let reply = Caller::come(&stage, "a", "second").await.reply().await;
    assert_eq!((reply.status, reply.header("x-gateway-attempts")), (200, "1"), "{}", reply.body);
    gate.open();
    let reply = first.reply().await;
    assert_eq!((reply.status, reply.header("x-gateway-provider")), (200, "other"), "{}", reply.body);
    // The loser's place is free, too: there are two for the next.
    stage.access_line("first");
    stage.upstream.connection_closed(0).await;
    let (gate, before) = (Gate::new(), stage.upstream.requests().len());
    let mut callers = Vec::new();
    for place in 0..2 {
        stage.upstream.push(held(&gate));
        stage.other.push(held(&gate));
        callers.push(Caller::come(&stage, "a", &format!("last-{place}")).await);
        stage.upstream.request(before + place).await;
    }
    gate.open();
    all_are_served(&stage, callers).await;
}
