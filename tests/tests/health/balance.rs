//! The balance policies, by what each target gets. Answers are scripted, so the numbers are exact wherever the policy is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_testing::{Gate, ReceivedRequest, Script};
use gateway_tests::stage::{CALL, CHAT, Stage};
use tokio::time::sleep;

use super::{asked_model, failing, good, held, hold_all, received_together, scene, spawn_smallest};

/// How often each target was asked, by what it calls the model.
type Counts = BTreeMap<String, usize>;

/// Three targets at two providers.
fn three(balance: &str, [first, second, third]: [&str; 3]) -> String {
    format!(
        r#"
auth: none
providers:
  - {{ name: main, api_base: "${{UPSTREAM}}" }}
  - {{ name: spare, api_base: "${{OTHER}}" }}
models:
  gpt-4o:
    balance: {balance}
    targets:
      - {{ provider: main, model: a, {first} }}
      - {{ provider: main, model: b, {second} }}
      - {{ provider: spare, model: c, {third} }}
retry: {{ max_retries: 2, base_delay: 1ms, max_delay: 1ms }}
circuit_breaker: {{ consecutive_failures: 1, open: 60s, max_open: 60s }}
"#
    )
}

fn counts(served: impl IntoIterator<Item = String>) -> Counts {
    served.into_iter().fold(Counts::new(), |mut counts, model| {
        *counts.entry(model).or_default() += 1;
        counts
    })
}

fn expected(counts: &[(&str, usize)]) -> Counts {
    counts.iter().map(|(model, count)| ((*model).to_owned(), *count)).collect()
}

/// What both upstreams were asked for since they had received this much.
fn asked_since(stage: &Stage, (main, spare): (usize, usize)) -> Counts {
    let requests = (stage.upstream.requests(), stage.other.requests());
    counts(requests.0[main..].iter().chain(&requests.1[spare..]).map(asked_model))
}

fn received(stage: &Stage) -> (usize, usize) {
    (stage.upstream.requests().len(), stage.other.requests().len())
}

/// Makes calls one after the other, all of which succeed, and says who was asked.
async fn run(stage: &Stage, calls: usize) -> Counts {
    let before = received(stage);
    for _ in 0..calls {
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    asked_since(stage, before)
}

/// A switch that makes a target fail.
fn breakable(stage: &Stage, model: &'static str) -> Arc<AtomicBool> {
    let is_broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_broken);
    let respond = move |request: &ReceivedRequest| {
        if seen.load(Ordering::SeqCst) && asked_model(request) == model { failing() } else { good() }
    };
    stage.upstream.otherwise(respond);
    is_broken
}

#[tokio::test]
async fn weighted_is_exact_in_every_cycle_also_without_a_target() {
    let stage = scene(&three("weighted", ["weight: 3", "weight: 2", "weight: 1"]), "").await;
    let is_broken = breakable(&stage, "b");
    for cycle in 0..10 {
        assert_eq!(run(&stage, 6).await, expected(&[("a", 3), ("b", 2), ("c", 1)]), "cycle {cycle}");
    }
    is_broken.store(true, Ordering::SeqCst);
    while !run(&stage, 1).await.contains_key("b") {}
    for cycle in 0..10 {
        assert_eq!(run(&stage, 4).await, expected(&[("a", 3), ("c", 1)]), "cycle {cycle} without b");
    }
}

#[tokio::test]
async fn weights_are_interleaved() {
    let stage = scene(&three("weighted", ["weight: 2", "weight: 1", "weight: 1"]), "").await;
    let before = received(&stage);
    run(&stage, 40).await;
    // A run of the heaviest target would be a burst that its weight does not ask for.
    let order: Vec<_> = stage.upstream.requests()[before.0..].iter().map(asked_model).collect();
    assert!(!order.windows(4).any(|window| window.iter().all(|model| model == "a")), "{order:?}");
}

#[tokio::test]
async fn a_tier_serves_when_all_before_it_cannot() {
    let stage = scene(&three("priority", ["priority: 1", "priority: 1", "priority: 2"]), "").await;
    let b_is_broken = breakable(&stage, "b");
    assert_eq!(run(&stage, 8).await, expected(&[("a", 4), ("b", 4)]));
    b_is_broken.store(true, Ordering::SeqCst);
    while !run(&stage, 1).await.contains_key("b") {}
    assert_eq!(run(&stage, 6).await, expected(&[("a", 6)]), "the other of the first tier");
    stage.upstream.otherwise(|_| failing());
    assert_eq!(run(&stage, 1).await, expected(&[("a", 1), ("c", 1)]), "the call that finds out goes on");
    assert_eq!(run(&stage, 6).await, expected(&[("c", 6)]), "the second tier");
}

#[tokio::test]
async fn the_least_busy_target_is_asked() {
    let stage = scene(&three("least_in_flight", ["weight: 2", "weight: 1", "weight: 1"]), "").await;
    let gate = hold_all(&stage);
    let mut calls = Vec::new();
    for number in 1..=16 {
        calls.push(spawn_smallest(&stage));
        // The next call has to see this one in flight.
        received_together(&stage, number).await;
        if number % 4 == 0 {
            let cycles = number / 4;
            let asked = asked_since(&stage, (0, 0));
            assert_eq!(asked, expected(&[("a", 2 * cycles), ("b", cycles), ("c", cycles)]), "{number} in flight");
        }
    }
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
    assert_eq!(run(&stage, 4).await, expected(&[("a", 2), ("b", 1), ("c", 1)]), "nothing is left in flight");
}

#[tokio::test]
async fn a_busy_target_is_spared() {
    let stage = scene(&three("least_in_flight", ["weight: 1", "weight: 1", "weight: 1"]), "").await;
    let gate = Gate::new();
    let kept = gate.clone();
    let respond = move |request: &ReceivedRequest| if asked_model(request) == "a" { held(&kept, 200) } else { good() };
    stage.upstream.otherwise(respond);
    let held_call = loop {
        let before = received(&stage);
        let mut call = spawn_smallest(&stage);
        tokio::select! {
            answer = &mut call => assert_eq!(answer.unwrap().status, 200),
            () = reached(&stage, "a", before) => break call,
        }
    };
    let asked = run(&stage, 20).await;
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["b", "c"], "{asked:?}");
    gate.open();
    assert_eq!(held_call.await.unwrap().status, 200);
}

/// Waits until the first upstream is asked for a model.
async fn reached(stage: &Stage, model: &str, (main, _): (usize, usize)) {
    while !stage.upstream.requests()[main..].iter().any(|request| asked_model(request) == model) {
        sleep(Duration::from_millis(1)).await;
    }
}

/// With two targets both are always drawn, so it is their speed alone that decides.
#[tokio::test]
async fn of_two_choices_the_fast_one_is_taken() {
    let config = r#"
auth: none
providers:
  - { name: main, api_base: "${UPSTREAM}" }
  - { name: spare, api_base: "${OTHER}" }
models:
  gpt-4o: { balance: p2c, targets: [ { provider: main, model: slow }, { provider: spare, model: fast } ] }
"#;
    let stage = scene(config, "").await;
    stage.upstream.otherwise(|_| Script::new().pause(Duration::from_millis(300)).answer(200, "application/json", "{}"));
    let asked = run(&stage, 40).await;
    // One call finds out that it is slow. More than that need the other one to be as slow for a while.
    let slow = asked.get("slow").copied().unwrap_or_default();
    assert!((1..=10).contains(&slow), "{asked:?}");
}

/// Calls that arrive at once are spread, although nothing is known of either target yet.
#[tokio::test]
async fn of_two_choices_the_less_busy_one_is_taken() {
    let config = r#"
auth: none
providers:
  - { name: main, api_base: "${UPSTREAM}" }
  - { name: spare, api_base: "${OTHER}" }
models:
  gpt-4o: { balance: p2c, targets: [ { provider: main, model: a }, { provider: spare, model: b } ] }
"#;
    let stage = scene(config, "").await;
    let gate = hold_all(&stage);
    let mut calls = Vec::new();
    for number in 1..=10 {
        calls.push(spawn_smallest(&stage));
        received_together(&stage, number).await;
    }
    assert_eq!(asked_since(&stage, (0, 0)), expected(&[("a", 5), ("b", 5)]));
    gate.open();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
}
