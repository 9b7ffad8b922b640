//! What opens a breaker, and that an open target gets nothing as long as another one serves.

use std::time::Duration;

use gateway_testing::Script;
use gateway_tests::stage::{CALL, CHAT, Stage, answer_with, authorized};
use gateway_tests::stream::{Events, STREAMED_CALL, role, text};
use tokio::time::{Instant, sleep};

use super::{FALLBACK, PATIENCE, TIERS, count, failing, scene, served};

/// Opens at the first failure, and stays open for as long as any test runs.
const STRICT: &str = "circuit_breaker: { consecutive_failures: 1, open: 60s, max_open: 60s }";

/// Makes the smallest call for each script of the first target, which the second target saves if it has to.
async fn play(stage: &Stage, statuses: &[u16]) {
    for status in statuses {
        stage.upstream.push(Script::json(*status, "{}"));
        served(stage).await;
    }
}

/// Panics unless the first target gets nothing, and nobody notices.
async fn assert_open(row: &str, stage: &Stage) {
    let before = count(&stage.upstream);
    for _ in 0..3 {
        let answer = stage.post(CHAT, CALL).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-gateway-provider")), (200, "spare"), "{row}");
        assert_eq!(answer.header("x-gateway-attempts"), "1", "{row}: an open target is not an attempt");
    }
    assert_eq!(count(&stage.upstream), before, "{row}: an open target gets nothing while another serves");
}

/// Panics unless the first target is asked. It may have to cool down for a moment.
async fn assert_closed(row: &str, stage: &Stage) {
    let (before, began) = (count(&stage.upstream), Instant::now());
    while count(&stage.upstream) == before {
        assert!(began.elapsed() < PATIENCE, "{row}: the target is left alone");
        served(stage).await;
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn failures_in_a_row_open_it() {
    let stage = scene(TIERS, "circuit_breaker: { consecutive_failures: 3, min_requests: 1000, open: 60s }").await;
    play(&stage, &[500, 500]).await;
    assert_closed("two", &stage).await;
    // That was a success, so they are counted anew.
    play(&stage, &[500, 500]).await;
    assert_closed("two and two", &stage).await;
    play(&stage, &[500, 502, 504]).await;
    assert_open("three", &stage).await;
}

#[tokio::test]
async fn a_share_of_failures_opens_it() {
    let settings = "{ consecutive_failures: 1000, failure_ratio: 0.5, min_requests: 4, open: 60s }";
    for (statuses, opens) in [
        (&[500, 500, 500][..], false),
        (&[500, 500, 500, 500], true),
        (&[200, 200, 500, 500], true),
        (&[500, 200, 200, 500], true),
        (&[200, 200, 200, 500, 500], false),
        (&[200, 200, 200, 500, 500, 500], true),
    ] {
        let row = format!("{statuses:?}");
        let stage = scene(TIERS, &format!("circuit_breaker: {settings}")).await;
        play(&stage, statuses).await;
        assert_eq!(count(&stage.upstream), statuses.len(), "{row}");
        if opens {
            assert_open(&row, &stage).await;
        } else {
            assert_closed(&row, &stage).await;
        }
    }
}

#[tokio::test]
async fn a_fallback_model_serves_while_all_of_the_first_is_open() {
    let stage = scene(FALLBACK, STRICT).await;
    play(&stage, &[500]).await;
    assert_open("open", &stage).await;
    let answer = stage.post(CHAT, CALL).await;
    assert_eq!(answer.header("x-gateway-model"), "reserve");
}

/// The first target's own time limits are short, so that missing them does not take long.
fn impatient() -> String {
    TIERS.replace(
        "{ gpt-4o: main-4o }",
        "{ gpt-4o: main-4o }, timeouts: { headers: 100ms, first_token: 100ms, idle: 100ms }",
    )
}

/// Has the first target answer one call, plain or streamed, as the script says, and the caller read all of it.
async fn attempt(stage: &Stage, body: &'static str, script: Script) {
    stage.upstream.push(script);
    stage.send(authorized("POST", CHAT, body)).await;
    assert_eq!(count(&stage.upstream), 1, "{body}");
}

#[tokio::test]
async fn what_the_target_is_to_blame_for_opens_it() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let cut = Script::new().write(format!("{head}content-length: 100\r\n\r\n{{\"model\":")).close();
    let error = r#"{"error":{"message":"x"}}"#;
    for (row, body, script) in [
        ("500", CALL, failing()),
        ("501", CALL, Script::json(501, "{}")),
        ("408", CALL, Script::json(408, "{}")),
        ("503", CALL, Script::json(503, "{}")),
        ("529", CALL, Script::json(529, "{}")),
        ("a redirect", CALL, answer_with(302, &[("location", "http://127.0.0.1:1/")], "")),
        ("closed", CALL, Script::new().close()),
        ("reset", CALL, Script::new().reset()),
        ("no HTTP", CALL, Script::new().write("SSH-2.0-OpenSSH_9.6\r\n\r\n").close()),
        ("no JSON", CALL, Script::json(200, "<html>")),
        ("an error in a success", CALL, Script::json(200, error)),
        ("cut", CALL, cut),
        ("silence", CALL, Script::new().stall()),
        ("silence behind the head", STREAMED_CALL, Script::event_stream().event(&role()).stall()),
        ("an error for a first event", STREAMED_CALL, Script::events([error])),
        ("cut before any content", STREAMED_CALL, Script::event_stream().event(&role()).close()),
        ("cut behind content", STREAMED_CALL, Script::event_stream().event(&text("a")).close()),
        ("silence behind content", STREAMED_CALL, Script::event_stream().event(&text("a")).stall()),
        ("an end without an end", STREAMED_CALL, Script::events([text("a").as_str()])),
    ] {
        let stage = scene(&impatient(), STRICT).await;
        attempt(&stage, body, script).await;
        assert_open(row, &stage).await;
    }
}

#[tokio::test]
async fn what_the_target_is_not_to_blame_for_does_not() {
    const HURRIED: &str = r#"{"model":"gpt-4o","gateway":{"timeout_ms":250}}"#;
    const HURRIED_STREAM: &str = r#"{"model":"gpt-4o","stream":true,"gateway":{"first_token_timeout_ms":100}}"#;
    let too_long = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
    for (row, body, script) in [
        ("400", CALL, Script::json(400, "{}")),
        ("413", CALL, Script::json(413, "{}")),
        ("422", CALL, Script::json(422, "{}")),
        ("too long", CALL, Script::json(400, too_long)),
        ("429", CALL, answer_with(429, &[("retry-after-ms", "20")], "{}")),
        ("the caller's own deadline", HURRIED, Script::new().stall()),
        ("the caller's own patience", HURRIED_STREAM, Script::event_stream().event(&role()).stall()),
    ] {
        let stage = scene(TIERS, STRICT).await;
        attempt(&stage, body, script).await;
        assert_closed(row, &stage).await;
    }
}

#[tokio::test]
async fn a_deadline_that_the_caller_set_says_nothing_about_a_target() {
    let hurried = r#"{"model":"gpt-4o","gateway":{"timeout_ms":100}}"#;
    let stage = scene(TIERS, STRICT).await;
    attempt(&stage, hurried, Script::new().stall()).await;
    assert_closed("the deadline", &stage).await;
}

/// With a total that is shorter than the time for the head, a dead upstream would otherwise never be found out.
#[tokio::test]
async fn silence_until_the_deadline_of_the_configuration_opens_it() {
    // Long enough for what comes behind it on a slow machine.
    let stage = scene(TIERS, &format!("{STRICT}\ntimeouts: {{ total: 1s }}")).await;
    attempt(&stage, CALL, Script::new().stall()).await;
    assert_open("the deadline", &stage).await;
}

#[tokio::test]
async fn a_target_that_does_not_know_its_model_is_asked_last() {
    let stage = scene(TIERS, STRICT).await;
    attempt(&stage, CALL, Script::json(404, "{}")).await;
    assert_open("while another serves", &stage).await;
    stage.other.otherwise(|_| Script::json(500, "{}"));
    let before = count(&stage.upstream);
    stage.post(CHAT, CALL).await;
    assert_eq!(count(&stage.upstream), before, "it is not waited for");
    stage.post(CHAT, CALL).await;
    assert_eq!(count(&stage.upstream), before + 1, "now the other is open, and nothing else is left");
}

#[tokio::test]
async fn a_caller_who_leaves_says_nothing_about_a_target() {
    for (row, body, script) in [
        ("before the head", CALL, Script::new().stall()),
        ("in the middle of a stream", STREAMED_CALL, Script::event_stream().event(&text("a")).stall()),
    ] {
        let stage = scene(TIERS, STRICT).await;
        stage.upstream.push(script);
        let call = super::spawn_call(&stage, authorized("POST", CHAT, body));
        stage.upstream.request(0).await;
        call.abort();
        stage.upstream.connection_closed(0).await;
        assert_closed(row, &stage).await;
    }
    let stage = scene(TIERS, STRICT).await;
    stage.upstream.push(Script::event_stream().event(&text("a")).stall());
    let mut events = Events::open(stage.gateway.address()).await;
    events.next().await.unwrap();
    drop(events);
    stage.upstream.connection_closed(0).await;
    assert_closed("behind content", &stage).await;
}

#[tokio::test]
async fn a_rejected_credential_says_nothing_about_the_target() {
    let keyed = "{ gpt-4o: main-4o }, api_keys: [sk-first-3b1f09d7, sk-second-7ac24e51]";
    let stage = scene(&TIERS.replace("{ gpt-4o: main-4o }", keyed), STRICT).await;
    stage.upstream.push(Script::json(401, "{}"));
    served(&stage).await;
    assert_closed("401", &stage).await;
    let request = stage.upstream.request(1).await;
    assert_eq!(request.header("authorization"), Some("Bearer sk-second-7ac24e51"));
}
