//! SIGTERM: what runs may finish, nothing new begins, and the exit is in order.

use gateway_testing::{Gate, Script};
use gateway_tests::drain::begin_drain;
use gateway_tests::stage::{PLAIN, Stage};
use gateway_tests::stream::{DONE, Events, event, finish, text};
use gateway_tests::wire::Wire;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

/// The fields of the line that says how the drain went.
fn stopped(stage: &Stage) -> Value {
    let line = stage.gateway.log_line(|line| line.contains(r#""message":"stopped""#));
    serde_json::from_str(&line).unwrap()
}

/// Waits until nobody listens any more.
async fn refused(stage: &Stage) {
    let address = stage.gateway.address();
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(Duration::from_secs(10), refused).await.expect("connections are still accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_in_flight_finish() {
    let mut stage = Stage::with("").await;
    let gate = Gate::new();
    for _ in 0..2 {
        let script = Script::event_stream().event(&text("a")).wait(&gate).event(&text("b")).event(&finish());
        stage.upstream.push(script.event("[DONE]").end_chunks());
    }
    let mut streams = [Events::open(stage.gateway.address()).await, Events::open(stage.gateway.address()).await];
    // Half of its next head has arrived, so this connection is not idle.
    let mut prober = Wire::open(stage.gateway.address()).await;
    prober.write("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\nGET /readyz HTTP/1.1\r\n").await;
    assert_eq!(prober.reply().await.status, 200);

    begin_drain(&stage).await;
    prober.write("host: x\r\n\r\n").await;
    let unready = prober.reply().await;
    assert_eq!((unready.status, &*unready.body), (503, r#"{"status":"draining"}"#));
    assert_eq!(unready.header("connection"), "close");
    refused(&stage).await;
    assert!(stage.gateway.is_running());

    gate.open();
    for stream in &mut streams {
        let events = stream.rest().await;
        assert_eq!(events[1..], [event(&text("b")), event(&finish()), DONE.to_owned()]);
    }
    let line = stopped(&stage);
    assert_eq!((&line["finished"], &line["cut"]), (&2.into(), &0.into()), "{line}");
    assert_eq!(stage.gateway.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_call_in_flight_finishes() {
    let mut stage = Stage::with("").await;
    let gate = Gate::new();
    let body = r#"{"model":"gpt-4o-2024"}"#;
    stage.upstream.push(Script::new().wait(&gate).answer(200, "application/json", body));
    let address = stage.gateway.address();
    let call = tokio::spawn(async move { Events::open(address).await });
    stage.upstream.request(0).await;
    begin_drain(&stage).await;
    gate.open();
    let mut answer = call.await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["connection"], "close");
    assert!(!answer.breaks_off().await);
    let line = stopped(&stage);
    assert_eq!((&line["finished"], &line["cut"]), (&1.into(), &0.into()), "{line}");
    assert_eq!(stage.gateway.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_time_is_cut() {
    let mut stage = Stage::of(&format!("{PLAIN}server: {{ drain_timeout: 300ms }}\n")).await;
    let mut streams = Vec::new();
    for connection in 0..2 {
        stage.upstream.push(Script::event_stream().event(&text("a")).stall());
        streams.push(Events::open(stage.gateway.address()).await);
        stage.upstream.request(connection).await;
    }
    begin_drain(&stage).await;
    for (connection, stream) in streams.iter_mut().enumerate() {
        assert!(stream.breaks_off().await, "the body must not seem complete");
        stage.upstream.connection_closed(connection).await;
    }
    let line = stopped(&stage);
    assert_eq!((&line["finished"], &line["cut"]), (&0.into(), &2.into()), "{line}");
    assert_eq!(stage.gateway.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_calls_it_ends_at_once() {
    let mut stage = Stage::with("").await;
    let mut idle = Wire::open(stage.gateway.address()).await;
    idle.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    stage.gateway.terminate().unwrap();
    assert_eq!(idle.rest().await, "");
    let line = stopped(&stage);
    assert_eq!((&line["finished"], &line["cut"]), (&0.into(), &0.into()), "{line}");
    assert_eq!(stage.gateway.wait().unwrap().code(), Some(0));
}
