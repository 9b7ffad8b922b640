//! A caller who leaves takes the upstream's call along, at once.

use std::time::{Duration, Instant};

use gateway_testing::Script;
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, Stage};
use gateway_tests::stream::{Events, text};
use gateway_tests::wire::Wire;

/// Within what time the upstream sees the close, as the contract has it.
const AT_ONCE: Duration = Duration::from_millis(100);

/// What a single close may take on a machine under load.
const AT_WORST: Duration = Duration::from_secs(1);

/// How often each close is measured: an odd number, which has one in the middle.
const RUNS: usize = 5;

/// Waits until the upstream has seen the close, and says how long that took.
async fn cancelled(stage: &Stage, connection: usize) -> Duration {
    let left = clock();
    stage.upstream.connection_closed(connection).await;
    let took = left.elapsed();
    assert!(took < AT_WORST, "connection {connection}: {took:?}");
    took
}

/// Panics unless the upstream usually sees the close at once: one run may be unlucky, most may not.
fn assert_at_once(what: &str, mut runs: Vec<Duration>) {
    runs.sort_unstable();
    println!("{what}: the upstream saw the close after {runs:?}");
    assert!(runs[runs.len() / 2] < AT_ONCE, "{what}: {runs:?}");
}

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn clock() -> Instant {
    Instant::now()
}

fn request(body: &str, request_id: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {CALLER_KEY}\r\nx-request-id: {request_id}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_stream() {
    let stage = Stage::with("").await;
    let mut runs = Vec::new();
    for connection in 0..RUNS {
        stage.upstream.push(Script::event_stream().event(&text("a")).stall());
        let mut events = Events::open(stage.gateway.address()).await;
        events.next().await.unwrap();
        let request_id = events.headers["x-request-id"].to_str().unwrap().to_owned();
        drop(events);
        runs.push(cancelled(&stage, connection).await);
        let line = stage.access_line(&request_id);
        assert_eq!((&line["status"], &line["stream"]), (&499.into(), &true.into()), "{line}");
        assert_eq!(line["attempts"], "main/gpt-4o-2024:cancelled:200", "{line}");
    }
    assert_at_once("mid-stream", runs);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_upstream_keeps_sending() {
    let stage = Stage::with("").await;
    let pause = Duration::from_millis(1);
    let script = (0..20_000).fold(Script::event_stream(), |script, _| script.event(&text("a")).pause(pause));
    let mut runs = Vec::new();
    for connection in 0..RUNS {
        stage.upstream.push(script.clone());
        let mut events = Events::open(stage.gateway.address()).await;
        events.next().await.unwrap();
        drop(events);
        runs.push(cancelled(&stage, connection).await);
    }
    assert_at_once("mid-flow", runs);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_head() {
    for (what, script) in [
        ("before the upstream's head", Script::new().stall()),
        ("before the first event", Script::event_stream().stall()),
        ("in a plain answer", Script::new().write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{").stall()),
    ] {
        let stage = Stage::with("").await;
        let mut runs = Vec::new();
        for connection in 0..RUNS {
            stage.upstream.push(script.clone());
            let mut wire = Wire::open(stage.gateway.address()).await;
            let request_id = format!("leaver-{connection}");
            wire.write(request(CALL, &request_id)).await;
            stage.upstream.request(connection).await;
            drop(wire);
            runs.push(cancelled(&stage, connection).await);
            let line = stage.access_line(&request_id);
            assert_eq!(line["status"], 499, "{what}: {line}");
            let attempts = line["attempts"].as_str().unwrap();
            assert!(attempts.starts_with("main/gpt-4o-2024:cancelled"), "{what}: {line}");
        }
        assert_at_once(what, runs);
    }
}

/// Nothing was sent for it, so there is nothing to cancel; it is still a call that was not answered.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_the_request() {
    let stage = Stage::with("").await;
    let request = request(CALL, "leaver");
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write(&request[..request.len() - 5]).await;
    drop(wire);
    let line = stage.access_line("leaver");
    // It may have closed only its own side, so it is told.
    assert_eq!(line["status"], 400, "{line}");
    stage.assert_nothing_was_sent("half a request");
    stage.assert_alive("half a request").await;
}
