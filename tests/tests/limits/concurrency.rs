//! So many calls at once: the place is free again however a call ends.

use gateway_testing::{Gate, Script};
use gateway_tests::stage::{CALL, CHAT, ONE_ATTEMPT, PLAIN, Stage};
use gateway_tests::stream::{Events, STREAMED_CALL, finish, text};
use gateway_tests::wire::Wire;

use super::scene::{call, key, listed, request, settled, spawn, stage_of};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

const ONE: (&str, &str) = ("team-a", "rate_limit: { max_concurrent: 1 }");

async fn stage(sections: &str) -> Stage {
    stage_of(&[PLAIN, &listed(&[ONE]), "passthrough: main\n", ONE_ATTEMPT, sections].concat()).await
}

async fn assert_full(stage: &Stage, row: &str) {
    assert_eq!(call(stage, "team-a", CALL).await.error_code(), "concurrency_limit_exceeded", "{row}");
}

async fn assert_free(stage: &Stage, row: &str) {
    assert_eq!(settled(stage, "team-a", CALL).await.status, 200, "{row}");
}

/// Answers of every kind, each of which is held until it is known that there is no second place.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_free_when_the_answer_is_there() {
    type End = fn(Script) -> Script;
    let rows: [(&str, End, u16); 6] = [
        ("a success", |held| held.answer(200, "application/json", "{}"), 200),
        ("a stream", |held| held.write(STREAM).event(&text("a")).event(&finish()).end_chunks(), 200),
        ("a failure", |held| held.answer(500, "application/json", "{}"), 502),
        ("a refusal", |held| held.answer(400, "application/json", "{}"), 400),
        ("half a head", |held| held.write("HTTP/1.1 200").reset(), 502),
        ("a broken answer", |held| held.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").close(), 502),
    ];
    let stage = stage("").await;
    for (row, end, status) in rows {
        let body = if row == "a stream" { STREAMED_CALL } else { CALL };
        let gate = Gate::new();
        let number = stage.upstream.requests().len();
        stage.upstream.push(end(Script::new().wait(&gate)));
        let held = spawn(&stage, "team-a", body);
        stage.upstream.request(number).await;
        assert_full(&stage, row).await;
        gate.open();
        let answer = held.await.unwrap();
        assert_eq!(answer.status, status, "{row}");
        stage.access_line(answer.header("x-request-id"));
        assert_free(&stage, row).await;
    }
}

/// The place of a stream is held until its last event, also of one that breaks.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_held_as_long_as_the_stream() {
    let stage = stage("").await;
    let begun = |gate: &Gate| Script::event_stream().event(&text("a")).wait(gate);
    for row in ["ended", "broken", "left"] {
        let gate = Gate::new();
        stage.upstream.push(match row {
            "ended" => begun(&gate).event(&finish()).event("[DONE]").end_chunks(),
            "broken" => begun(&gate).reset(),
            _ => begun(&gate).stall(),
        });
        let mut events = Events::of(stage.gateway.address(), request("team-a", "POST", CHAT, STREAMED_CALL)).await;
        events.next().await.unwrap();
        assert_full(&stage, row).await;
        gate.open();
        let id = events.headers["x-request-id"].to_str().unwrap().to_owned();
        if row == "left" {
            drop(events);
        } else {
            events.rest().await;
        }
        stage.access_line(&id);
        assert_free(&stage, row).await;
    }
}

/// An upstream that says nothing does not keep the place for ever.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_free_when_the_time_is_over() {
    let stage = stage("timeouts: { headers: 200ms, idle: 200ms }\n").await;
    let tight = r#"{"model":"gpt-4o","gateway":{"timeout_ms":200}}"#;
    for (row, body, script, status) in [
        ("no head", CALL, Script::new().stall(), 504),
        ("no time", tight, Script::new().write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").stall(), 504),
        ("no further event", STREAMED_CALL, Script::event_stream().event(&text("a")).stall(), 200),
    ] {
        stage.upstream.push(script);
        assert_eq!(settled(&stage, "team-a", body).await.status, status, "{row}");
        assert_free(&stage, row).await;
    }
}

/// A call that its caller has given up before there was anything of an answer.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_free_when_the_caller_has_left() {
    let stage = stage("").await;
    for (row, path, script) in [
        ("no head", CHAT, Script::new().stall()),
        ("half an answer", CHAT, Script::new().write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").stall()),
        ("no event", CHAT, Script::event_stream().stall()),
    ] {
        let number = stage.upstream.requests().len();
        stage.upstream.push(script);
        let mut wire = Wire::open(stage.gateway.address()).await;
        let (key, length) = (key("team-a"), CALL.len());
        wire.write(format!(
            "POST {path} HTTP/1.1\r\nhost: gw\r\nauthorization: Bearer {key}\r\nx-request-id: leaver-{number}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{CALL}"
        ))
        .await;
        stage.upstream.request(number).await;
        assert_full(&stage, row).await;
        drop(wire);
        assert_eq!(stage.access_line(&format!("leaver-{number}"))["status"], 499, "{row}");
        assert_free(&stage, row).await;
    }
}

/// What is passed through is a call like any other.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_through_has_a_place_too() {
    let stage = stage("").await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let gate = Gate::new();
    stage.upstream.push(Script::new().write(head).chunk("a").wait(&gate).chunk("b").end_chunks());
    let mut client = gateway_testing::Client::connect(stage.gateway.address()).await;
    let answer = client.open(request("team-a", "GET", "/v1/files", "")).await;
    assert_full(&stage, "passed through").await;
    let again = stage.send(request("team-a", "GET", "/v1/files", "")).await;
    assert_eq!(again.error_code(), "concurrency_limit_exceeded");
    gate.open();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes(), "ab");
    stage.access_line(&id);
    assert_free(&stage, "passed through").await;
    assert_eq!(stage.upstream.requests().len(), 2);
}

/// Nobody's calls are counted with another's.
#[tokio::test(flavor = "multi_thread")]
async fn keys_have_places_of_their_own() {
    let stage = stage_of(&[PLAIN, &listed(&[ONE, ("team-b", ONE.1)])].concat()).await;
    let gate = Gate::new();
    for name in ["team-a", "team-b"] {
        let number = stage.upstream.requests().len();
        stage.upstream.push(Script::new().wait(&gate).answer(200, "application/json", "{}"));
        drop(spawn(&stage, name, CALL));
        stage.upstream.request(number).await;
    }
    for name in ["team-a", "team-b"] {
        assert_eq!(call(&stage, name, CALL).await.status, 429, "{name}");
    }
}
