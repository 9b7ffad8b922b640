//! A second attempt beside one that is slow: the first content wins, and the other upstream is told at once.

use std::time::Duration;

use gateway_testing::{Answer, FakeUpstream, Gate, Script};
use gateway_tests::form::{BOUNDARY, Form};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, Stage, authorized};
use gateway_tests::stream::{DONE, Events, STREAMED_CALL, event, finish, role, text};
use http::{Request, header};
use http_body_util::Full;
use tokio::time::timeout;

use super::{TIERS, count, failing, good, held, scene, served, spawn_smallest, trail};

/// A script pauses for this long where a test is about what is not done meanwhile.
const LONGER: Duration = Duration::from_millis(250);

/// Opens at the first failure, which being beaten is not.
const STRICT: &str = "circuit_breaker: { consecutive_failures: 1, open: 60s, max_open: 60s }";

/// Two targets of which the first is asked first, without retries, with a hedge.
fn hedged(hedge: &str) -> String {
    TIERS
        .replace("balance: priority", &format!("balance: priority, hedge: {hedge}"))
        .replace("max_retries: 1", "max_retries: 0")
}

fn late() -> Script {
    Script::new().pause(LONGER).answer(200, "application/json", "{}")
}

/// Panics unless this is a success with this trail of attempts, which the header counts.
fn assert_trail(answer: &Answer, expected: &[&str]) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(trail(&answer.json()), expected);
    assert_eq!(answer.header("x-gateway-attempts"), expected.len().to_string());
}

/// Waits until the gateway knows that its attempt at this upstream failed.
async fn failure_noticed(stage: &Stage, upstream: &FakeUpstream) {
    upstream.at_rest().await;
    stage.gateway.log_line(|line| line.contains("attempt failed"));
}

#[tokio::test]
async fn a_silent_target_is_beaten_and_let_go() {
    let stage = scene(&hedged("{ after: 50ms }"), STRICT).await;
    stage.upstream.push(Script::new().stall());
    let answer = stage.post(CHAT, CALL).await;
    assert_trail(&answer, &["main:cancelled", "spare:success"]);
    assert_eq!(answer.header("x-gateway-provider"), "spare");
    stage.upstream.connection_closed(0).await;
    let line = stage.access_line(answer.header("x-request-id"));
    assert_eq!(line["attempts"], "main/main-4o:cancelled,spare/spare-4o:success:200", "{line}");
    assert_eq!(served(&stage).await, "main", "being beaten is no failure");
}

#[tokio::test]
async fn a_silent_stream_is_beaten_and_let_go() {
    for (row, script) in [
        ("before the head", Script::new().stall()),
        ("behind the head", Script::event_stream().stall()),
        ("behind what is not content", Script::event_stream().event(&role()).stall()),
    ] {
        let stage = scene(&hedged("{ after: 50ms }"), STRICT).await;
        let gate = Gate::new();
        let winner = Script::event_stream().event(&text("a")).wait(&gate).event(&finish()).event("[DONE]").end_chunks();
        stage.upstream.push(script);
        stage.other.push(winner);
        let mut events = Events::open(stage.gateway.address()).await;
        assert_eq!(events.headers["x-gateway-attempts"], "2", "{row}");
        let first = events.next().await.unwrap();
        let payload = serde_json::from_str(first.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(trail(&payload), ["main:cancelled", "spare:success"], "{row}");
        // The winner is still at it.
        stage.upstream.connection_closed(0).await;
        gate.open();
        assert_eq!(events.rest().await, [event(&finish()), DONE.to_owned()], "{row}");
        assert_eq!(served(&stage).await, "main", "{row}: being beaten is no failure");
    }
}

#[tokio::test]
async fn the_first_target_may_still_win() {
    let stage = scene(&hedged("{ after: 50ms }"), STRICT).await;
    let gate = Gate::new();
    stage.upstream.push(held(&gate, 200));
    stage.other.push(Script::new().stall());
    let call = spawn_smallest(&stage);
    stage.other.request(0).await;
    gate.open();
    assert_trail(&call.await.unwrap(), &["main:success", "spare:cancelled"]);
    stage.other.connection_closed(0).await;
}

#[tokio::test]
async fn the_hedge_goes_on_when_the_first_target_fails() {
    let stage = scene(&hedged("{ after: 50ms }"), "").await;
    let (first, second) = (Gate::new(), Gate::new());
    stage.upstream.push(held(&first, 500));
    stage.other.push(held(&second, 200));
    let call = spawn_smallest(&stage);
    stage.other.request(0).await;
    first.open();
    failure_noticed(&stage, &stage.upstream).await;
    second.open();
    assert_trail(&call.await.unwrap(), &["main:server_error", "spare:success"]);
    assert_eq!((count(&stage.upstream), count(&stage.other)), (1, 1));
}

#[tokio::test]
async fn the_first_target_goes_on_when_the_hedge_fails() {
    let stage = scene(&hedged("{ after: 50ms }"), "").await;
    let gate = Gate::new();
    stage.upstream.push(held(&gate, 200));
    stage.other.push(failing());
    let call = spawn_smallest(&stage);
    stage.other.request(0).await;
    failure_noticed(&stage, &stage.other).await;
    gate.open();
    assert_trail(&call.await.unwrap(), &["main:success", "spare:server_error"]);
}

#[tokio::test]
async fn both_may_fail() {
    let stage = scene(&hedged("{ after: 50ms }"), "").await;
    let gate = Gate::new();
    stage.upstream.push(held(&gate, 500));
    stage.other.push(held(&gate, 503));
    let call = spawn_smallest(&stage);
    stage.other.request(0).await;
    gate.open();
    let answer = call.await.unwrap();
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_error"), "{}", answer.text());
    assert_eq!(trail(&answer.json()), ["main:server_error", "spare:overloaded"]);
    assert_eq!((count(&stage.upstream), count(&stage.other)), (1, 1), "no retries were asked for");
}

/// A hedge is no retry: those that the model has are still there when both have failed.
#[tokio::test]
async fn retries_follow_when_both_fail() {
    let config = hedged("{ after: 50ms }").replace("max_retries: 0", "max_retries: 1");
    let stage = scene(&config, "").await;
    let gate = Gate::new();
    stage.upstream.push(held(&gate, 500));
    stage.other.push(held(&gate, 500));
    let call = spawn_smallest(&stage);
    stage.other.request(0).await;
    gate.open();
    assert_trail(&call.await.unwrap(), &["main:server_error", "spare:server_error", "main:success"]);
}

#[tokio::test]
async fn as_many_hedges_as_the_model_says() {
    let config = r#"
auth: none
providers:
  - { name: main, api_base: "${UPSTREAM}" }
  - { name: spare, api_base: "${OTHER}" }
models:
  gpt-4o:
    hedge: { after: 50ms, max: 2 }
    balance: priority
    targets:
      - { provider: main, model: a, priority: 1 }
      - { provider: main, model: b, priority: 2 }
      - { provider: main, model: c, priority: 3 }
      - { provider: spare, model: d, priority: 4 }
"#;
    let stage = scene(config, "").await;
    let gate = Gate::new();
    for script in [Script::new().stall(), Script::new().stall(), held(&gate, 200)] {
        stage.upstream.push(script);
    }
    let call = spawn_smallest(&stage);
    stage.upstream.request(2).await;
    // For two of the intervals at least, so that another hedge would have been made.
    assert!(timeout(LONGER, stage.other.accepted(1)).await.is_err(), "a third hedge");
    gate.open();
    assert_trail(&call.await.unwrap(), &["main:cancelled", "main:cancelled", "main:success"]);
    for connection in [0, 1] {
        stage.upstream.connection_closed(connection).await;
    }
}

#[tokio::test]
async fn a_caller_who_leaves_takes_both_along() {
    let stage = scene(&hedged("{ after: 50ms }"), "").await;
    stage.upstream.push(Script::new().stall());
    stage.other.push(Script::new().stall());
    let call = spawn_smallest(&stage);
    stage.other.request(0).await;
    call.abort();
    stage.upstream.connection_closed(0).await;
    stage.other.connection_closed(0).await;
}

/// Panics if the second target was asked for a call that the first one answers late.
async fn assert_not_hedged(row: &str, stage: &Stage, request: Request<Full<bytes::Bytes>>) {
    stage.upstream.push(late());
    let answer = stage.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-gateway-attempts")), (200, "1"), "{row}: {}", answer.text());
    assert_eq!(count(&stage.other), 0, "{row}");
}

fn upload() -> Request<Full<bytes::Bytes>> {
    let body = Form::new().field("model", "gpt-4o").file("file", b"sound").end();
    Request::post("/v1/audio/transcriptions")
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
        .header(header::AUTHORIZATION, format!("Bearer {CALLER_KEY}"))
        .body(Full::from(body))
        .unwrap()
}

#[tokio::test]
async fn some_calls_are_not_hedged() {
    let alone = hedged("{ after: 50ms }").replace(", { provider: spare, priority: 2 }", "");
    let smallest = || authorized("POST", CHAT, CALL);
    for (row, config, sections, request) in [
        ("no hedge is configured", TIERS.to_owned(), "", smallest()),
        ("one target", alone, "", smallest()),
        ("a body that streams", hedged("{ after: 50ms }"), "", upload()),
        ("too little is known of the target", hedged("{ after: p95 }"), "", smallest()),
    ] {
        let stage = scene(&config, sections).await;
        assert_not_hedged(row, &stage, request).await;
    }
    let broke =
        hedged("{ after: 50ms }").replace("max_delay: 1ms", "max_delay: 1ms, budget: { ratio: 0, min_per_second: 0 }");
    let stage = scene(&broke, "").await;
    assert_not_hedged("no budget", &stage, smallest()).await;
}

#[tokio::test]
async fn an_answer_in_time_is_not_hedged() {
    let stage = scene(&hedged("{ after: 10s }"), "").await;
    for _ in 0..5 {
        assert_eq!(served(&stage).await, "main");
    }
    stage.upstream.push(Script::events([text("a").as_str(), finish().as_str(), "[DONE]"]));
    let answer = stage.post(CHAT, STREAMED_CALL).await;
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
    assert_eq!(count(&stage.other), 0);
}

/// Content ends the race: what comes behind it may take as long as it likes.
#[tokio::test]
async fn a_stream_that_has_begun_is_not_hedged() {
    // The content has to be there by then, however slow the machine is.
    let after = Duration::from_secs(3);
    let stage = scene(&hedged("{ after: 3s }"), "").await;
    let gate = Gate::new();
    let script = Script::event_stream().event(&text("a")).wait(&gate).event(&finish()).event("[DONE]").end_chunks();
    stage.upstream.push(script);
    let mut events = Events::open(stage.gateway.address()).await;
    assert!(events.next().await.is_some());
    assert!(timeout(after + LONGER, stage.other.accepted(1)).await.is_err(), "a hedge behind the content");
    gate.open();
    assert_eq!(events.rest().await, [event(&finish()), DONE.to_owned()]);
    assert_eq!(count(&stage.other), 0);
}

/// An open target is not raced against, it would only lose.
#[tokio::test]
async fn a_hedge_does_not_go_where_no_call_would() {
    let stage = scene(&hedged("{ after: 50ms }"), STRICT).await;
    let gate = Gate::new();
    stage.upstream.push(held(&gate, 200));
    stage.other.push(failing());
    let call = spawn_smallest(&stage);
    stage.other.request(0).await;
    failure_noticed(&stage, &stage.other).await;
    gate.open();
    assert_eq!(call.await.unwrap().status, 200);
    // The second target is open now.
    stage.upstream.push(late());
    assert_trail(&stage.post(CHAT, CALL).await, &["main:success"]);
    assert_eq!(count(&stage.other), 1);
}

#[tokio::test]
async fn a_percentile_is_of_what_the_target_has_shown() {
    let stage = scene(&hedged("{ after: p95 }"), "").await;
    // So many are needed to speak of one in twenty.
    let mut asked = 0;
    while asked < 20 {
        stage.upstream.push(good());
        asked += usize::from(served(&stage).await == "main");
    }
    stage.upstream.push(Script::new().stall());
    assert_eq!(served(&stage).await, "spare");
    stage.upstream.at_rest().await;
}

#[tokio::test]
async fn a_target_that_never_answers_is_found_out_although_it_never_fails() {
    // Long enough for the other to answer in, however slow the machine is: to be late itself would get the first one asked.
    let stage = scene(&hedged("{ after: 1s }").replace("balance: priority", "balance: p2c"), "").await;
    stage.upstream.otherwise(|_| Script::new().stall());
    for _ in 0..10 {
        assert_eq!(stage.post(CHAT, CALL).await.header("x-gateway-provider"), "spare");
    }
    assert_eq!(count(&stage.upstream), 1, "it was given a second once, and then the other was known to be faster");
}
