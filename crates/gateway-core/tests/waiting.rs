//! Calls that wait for room at a provider, beside everything else that they wait for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "in_process/scene.rs"]
mod scene;

use std::sync::Arc;
use std::time::Duration;

use gateway_testing::{FakeUpstream, Gate, Script};
use http::Request;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use scene::{Body, Scene, good, post};

/// The first provider has one place, and serves `x` besides. A call waits for up to 10 s before it goes round again.
const PAIR: &str = "
auth: none
server: { queue: { size: 10, timeout: 60s } }
providers:
  - { name: main, api_base: 'MAIN', model_mapping: { m: m, x: x }, max_in_flight: 1 }
  - { name: spare, api_base: 'SPARE', model_mapping: { m: m } }
models: { m: { balance: priority, targets: [ { provider: main, priority: 1 }, { provider: spare, priority: 2 } ] } }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
retry: { max_retries: 2, base_delay: 10s, max_delay: 10s, budget: { ratio: 1, min_per_second: 1000 } }
";

const SECOND: Duration = Duration::from_secs(1);

/// Wants to be left alone for ten seconds.
fn busy() -> Script {
    Script::new().write("HTTP/1.1 429 No\r\nretry-after: 10\r\ncontent-length: 2\r\n\r\n{}")
}

fn chat(body: &'static str) -> Request<Body> {
    post("/v1/chat/completions", body)
}

/// Sends a request, and gives the status of its answer and when it had come.
fn spawn(scene: &Scene, request: Request<Body>) -> JoinHandle<(u16, Instant)> {
    let answer = scene.send(request);
    tokio::spawn(async move {
        let (head, body) = answer.await.into_parts();
        body.collect().await.unwrap();
        (head.status.as_u16(), Instant::now())
    })
}

/// Takes the place of an upstream with a call of this model, until the gate opens.
async fn occupy(scene: &Scene, upstream: &FakeUpstream, body: &'static str) -> (Gate, JoinHandle<(u16, Instant)>) {
    let (gate, number) = (Gate::new(), upstream.requests().len());
    upstream.push(Script::new().wait(&gate).answer(200, "application/json", r#"{"id":"c-1","choices":[]}"#));
    let call = spawn(scene, chat(body));
    upstream.request(number).await;
    (gate, call)
}

/// The call goes round again, to find that the place at the first target is taken and that the second still wants to be left
/// alone: it goes to the second as soon as it may, and not before.
#[tokio::test(start_paused = true)]
async fn a_target_that_cools_down_is_left_alone_by_those_who_wait_for_room() {
    for seed in 0..20 {
        fastrand::seed(seed);
        let scene = Scene::of(PAIR).await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let times = Arc::clone(&asked);
        scene.spare.otherwise(move |_| {
            let mut times = times.lock();
            times.push(Instant::now());
            if times.len() == 1 { busy() } else { good() }
        });
        scene.main.push(Script::json(500, "{}"));
        let call = spawn(&scene, chat(r#"{"model":"m"}"#));
        scene.spare.request(0).await;
        let (gate, other) = occupy(&scene, &scene.main, r#"{"model":"x"}"#).await;
        let (status, _) = call.await.unwrap();
        let asked = asked.lock().clone();
        let between = asked[1] - asked[0];
        assert_eq!((status, asked.len()), (200, 2), "seed {seed}");
        assert!((10 * SECOND..11 * SECOND).contains(&between), "seed {seed}: asked again after {between:?}");
        gate.open();
        assert_eq!(other.await.unwrap().0, 200);
    }
}

/// The same, but there is room at the first target before the second may be asked.
#[tokio::test(start_paused = true)]
async fn room_that_comes_before_the_end_of_a_cool_down_is_taken() {
    for seed in 0..20 {
        fastrand::seed(seed);
        let scene = Scene::of(PAIR).await;
        scene.main.push(Script::json(500, "{}"));
        scene.spare.push(busy());
        let began = Instant::now();
        let call = spawn(&scene, chat(r#"{"model":"m"}"#));
        scene.spare.request(0).await;
        let (gate, other) = occupy(&scene, &scene.main, r#"{"model":"x"}"#).await;
        sleep(9 * SECOND).await;
        gate.open();
        assert_eq!(other.await.unwrap().0, 200);
        let (status, ended) = call.await.unwrap();
        assert_eq!((status, (ended - began).as_secs()), (200, 9), "seed {seed}");
        assert_eq!((scene.main.requests().len(), scene.spare.requests().len()), (3, 1), "seed {seed}");
    }
}

/// A call that has been tried and waits for room when its time is over is out of time, whatever came of it before.
#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_in_line_is_out_of_time() {
    let alone = PAIR.replace(", { provider: spare, priority: 2 } ]", " ]");
    let scene = Scene::of(&alone).await;
    let began = Instant::now();
    scene.main.push(Script::json(500, "{}"));
    let call = spawn(&scene, chat(r#"{"model":"m","gateway":{"timeout_ms":30000}}"#));
    scene.main.request(0).await;
    let (gate, other) = occupy(&scene, &scene.main, r#"{"model":"x"}"#).await;
    let (status, ended) = call.await.unwrap();
    assert_eq!((status, (ended - began).as_secs()), (504, 30));
    gate.open();
    assert_eq!(other.await.unwrap().0, 200);
}

/// Two providers with a place each, for a model each: the first has less time than the second.
const SHORT: &str = "
auth: none
server: { queue: { size: 10, timeout: 60s } }
passthrough: main
providers:
  - { name: main, api_base: 'MAIN', model_mapping: { m: m, x: x }, max_in_flight: 1, timeouts: { total: 40s } }
  - { name: spare, api_base: 'SPARE', model_mapping: { n: n }, max_in_flight: 1 }
models:
  m: { timeouts: { total: 1s }, targets: [ { provider: main } ], fallback_models: [n] }
  x: { timeouts: { total: 300s }, targets: [ { provider: main } ] }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
";

#[tokio::test(start_paused = true)]
async fn a_model_with_little_time_leaves_the_others_theirs() {
    let scene = Scene::of(SHORT).await;
    let (main_gate, main) = occupy(&scene, &scene.main, r#"{"model":"x"}"#).await;
    let (spare_gate, spare) = occupy(&scene, &scene.spare, r#"{"model":"n"}"#).await;
    let began = Instant::now();
    let call = spawn(&scene, chat(r#"{"model":"m"}"#));
    sleep(3 * SECOND).await;
    // Too late for a call of the first model, and for the place it would have taken.
    main_gate.open();
    sleep(3 * SECOND).await;
    spare_gate.open();
    let (status, ended) = call.await.unwrap();
    assert_eq!((status, (ended - began).as_secs()), (200, 6));
    assert_eq!((scene.main.requests().len(), scene.spare.requests().len()), (1, 2));
    for other in [main, spare] {
        assert_eq!(other.await.unwrap().0, 200);
    }
}

/// What is passed through has its time, too.
#[tokio::test(start_paused = true)]
async fn what_is_passed_through_does_not_wait_beyond_its_time() {
    let scene = Scene::of(SHORT).await;
    let (gate, other) = occupy(&scene, &scene.main, r#"{"model":"x"}"#).await;
    let began = Instant::now();
    let files = Request::get("/v1/files").header("host", "gateway").body(Full::default().boxed_unsync()).unwrap();
    let (status, ended) = spawn(&scene, files).await.unwrap();
    assert_eq!((status, (ended - began).as_secs()), (504, 40));
    assert_eq!(scene.main.requests().len(), 1);
    gate.open();
    assert_eq!(other.await.unwrap().0, 200);
}
