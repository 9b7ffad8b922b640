//! Which targets are asked and which are left alone: breakers, balance, affinity and hedging, through the built server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod affinity;
mod balance;
mod breaker;
mod checks;
mod hedging;
mod probes;

use std::time::Duration;

use bytes::Bytes;
use gateway_testing::{Answer, Client, FakeUpstream, Gate, ReceivedRequest, Script};
use gateway_tests::stage::{CALL, CHAT, Stage, authorized};
use http::Request;
use http_body_util::Full;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How long whatever has to come may take; far more than anything on one machine does.
const PATIENCE: Duration = Duration::from_secs(20);

/// A model at the first upstream, with another at the second to fall back on; one attempt each.
const FALLBACK: &str = r#"
auth: none
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: main-4o } }
  - { name: spare, api_base: "${OTHER}", model_mapping: { reserve: spare-4o } }
models: { gpt-4o: { fallback_models: [reserve] } }
retry: { max_retries: 0 }
"#;

/// Two providers of one model, of which the second is asked only when the first is not healthy. A retry waits a
/// millisecond, and there is one.
const TIERS: &str = r#"
auth: none
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: main-4o } }
  - { name: spare, api_base: "${OTHER}", model_mapping: { gpt-4o: spare-4o } }
models:
  gpt-4o: { balance: priority, targets: [ { provider: main, priority: 1 }, { provider: spare, priority: 2 } ] }
retry: { max_retries: 1, base_delay: 1ms, max_delay: 1ms }
"#;

/// One provider, and nobody to go to instead. Nothing is retried.
const ALONE: &str = r#"
auth: none
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: main-4o } }
retry: { max_retries: 0 }
"#;

/// A scene on `config` and further top-level sections, in which both upstreams answer whatever no script is left for.
async fn scene(config: &str, sections: &str) -> Stage {
    let stage = Stage::of(&format!("{config}{sections}\n")).await;
    stage.upstream.otherwise(|_| good());
    stage.other.otherwise(|_| good());
    stage
}

fn good() -> Script {
    Script::json(200, r#"{"id":"c-1","model":"x","choices":[]}"#)
}

fn failing() -> Script {
    Script::json(500, "{}")
}

/// The answer to the smallest call, which has to be a success; it says by whom.
async fn served(stage: &Stage) -> String {
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-gateway-provider").to_owned()
}

/// A call that goes on while the test does something else.
fn spawn_call(stage: &Stage, request: Request<Full<Bytes>>) -> JoinHandle<Answer> {
    let gateway = stage.gateway.address();
    tokio::spawn(async move { Client::connect(gateway).await.send(request).await })
}

/// The smallest call, in the background.
fn spawn_smallest(stage: &Stage) -> JoinHandle<Answer> {
    spawn_call(stage, authorized("POST", CHAT, CALL))
}

/// What was tried for a call, such as `main:server_error`, from its answer's `gateway` member.
fn trail(answer: &serde_json::Value) -> Vec<String> {
    let attempts = answer["gateway"]["attempts"].as_array().unwrap_or_else(|| panic!("no trail in {answer}"));
    let text = |attempt: &serde_json::Value, field: &str| attempt[field].as_str().unwrap().to_owned();
    attempts.iter().map(|attempt| format!("{}:{}", text(attempt, "provider"), text(attempt, "outcome"))).collect()
}

/// The model that an upstream was asked for.
fn asked_model(request: &ReceivedRequest) -> String {
    let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    body["model"].as_str().expect("a model").to_owned()
}

/// How many requests an upstream has received.
fn count(upstream: &FakeUpstream) -> usize {
    upstream.requests().len()
}

/// Waits until both upstreams together have received so many requests.
async fn received_together(stage: &Stage, number: usize) {
    let began = Instant::now();
    while count(&stage.upstream) + count(&stage.other) < number {
        assert!(began.elapsed() < PATIENCE, "waited for request {number}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Answers everything when the gate opens, and says nothing before.
fn hold_all(stage: &Stage) -> Gate {
    let gate = Gate::new();
    for upstream in [&stage.upstream, &stage.other] {
        let gate = gate.clone();
        upstream.otherwise(move |_| held(&gate, 200));
    }
    gate
}

/// An answer that waits for a gate.
fn held(gate: &Gate, status: u16) -> Script {
    Script::new().wait(gate).answer(status, "application/json", "{}")
}
