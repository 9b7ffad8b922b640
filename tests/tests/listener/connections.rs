//! HTTP/1.1 connections: kept, pipelined, given up.

use gateway_testing::{Client, Script, client};
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, ONE_ATTEMPT, Stage, authorized};
use gateway_tests::wire::Wire;

fn head(path: &str, length: usize, lines: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {CALLER_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n{lines}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_calls_until_it_is_closed() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let mut client = Client::connect(stage.gateway.address()).await;
    for _ in 0..3 {
        stage.upstream.push(Script::json(200, "{}"));
        assert_eq!(client.send(authorized("POST", CHAT, CALL)).await.status, 200);
        // A refused call leaves the connection as it is.
        assert_eq!(client.send(client::request("POST", CHAT, CALL)).await.status, 401);
        assert_eq!(client.send(authorized("POST", CHAT, "{")).await.status, 400);
        assert_eq!(client.send(authorized("POST", CHAT, r#"{"model":"unknown"}"#)).await.status, 404);
        assert_eq!(client.send(authorized("GET", CHAT, "")).await.status, 405);
        stage.upstream.push(Script::events([r#"{"choices":[{"finish_reason":"stop"}]}"#, "[DONE]"]));
        assert_eq!(client.send(authorized("POST", CHAT, CALL)).await.status, 200);
        stage.upstream.push(Script::json(500, "{}"));
        assert_eq!(client.send(authorized("POST", CHAT, CALL)).await.status, 502);
    }
    assert_eq!(stage.upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_calls_are_answered_in_order() {
    let stage = Stage::with("").await;
    let mut requests = String::new();
    for number in 0..5 {
        stage.upstream.push(Script::json(200, format!("[{number}]")));
        let body = format!(r#"{{"model":"gpt-4o","number":{number}}}"#);
        requests += &head(CHAT, body.len(), "");
        requests += &body;
        requests += "GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n";
    }
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write(&requests).await;
    for number in 0..5 {
        let reply = wire.reply().await;
        assert_eq!((reply.status, reply.body), (200, format!("[{number}]")));
        assert_eq!(wire.reply().await.body, r#"{"status":"ok"}"#);
        let sent = stage.upstream.request(number).await;
        assert!(sent.body.ends_with(format!("\"number\":{number}}}").as_bytes()), "{sent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_is_served_and_closed() {
    let stage = Stage::with("").await;
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write("GET /health HTTP/1.0\r\nhost: gateway\r\n\r\n").await;
    assert!(wire.rest().await.ends_with(r#"{"status":"ok"}"#));
}

/// The time for a head where it is to run out: enough for those that are to be served, on a machine with other work.
const HEADS_IN_TIME: &str = "server: { header_timeout: 1s }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_given_up() {
    let stage = Stage::with(HEADS_IN_TIME).await;
    let mut slow = Vec::new();
    for beginning in ["", "GET", "GET /health HTTP/1.1\r\nhost: gateway\r\n"] {
        let mut wire = Wire::open(stage.gateway.address()).await;
        wire.write(beginning).await;
        slow.push((beginning, wire));
    }
    // Also behind a request that was in time.
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\nGET").await;
    assert_eq!(wire.reply().await.status, 200);
    slow.push(("the second head", wire));
    for (beginning, mut wire) in slow {
        assert_eq!(wire.rest().await, "", "{beginning:?}");
    }
    stage.assert_alive("slow heads").await;
}

/// Only the head is bounded by that time: a connection may rest longer between its calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_resting_connection_is_kept() {
    let stage = Stage::with(HEADS_IN_TIME).await;
    let mut resting = Wire::open(stage.gateway.address()).await;
    resting.write("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(resting.reply().await.status, 200);
    // The end of this one is the sign that the time is over.
    assert_eq!(Wire::open(stage.gateway.address()).await.rest().await, "");
    resting.write("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert_eq!(resting.reply().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_asked_for_when_the_caller_waits() {
    let stage = Stage::with("").await;
    stage.upstream.push(Script::json(200, "{}"));
    let body = format!(r#"{{"model":"gpt-4o","text":"{}"}}"#, "x".repeat(4 << 20));
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write(head(CHAT, body.len(), "expect: 100-continue\r\n")).await;
    assert_eq!(wire.reply().await.head, "http/1.1 100 continue\r\n\r\n");
    wire.write(&body).await;
    assert_eq!(wire.reply().await.status, 200);
    let sent = stage.upstream.request(0).await;
    assert!(sent.header("expect").is_none() && sent.body.len() == body.len() + "-2024".len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwanted_body_is_not_asked_for() {
    let stage = Stage::with("server: { max_body: 1MiB }\n").await;
    let wanted = head(CHAT, 100, "expect: 100-continue\r\n");
    let anonymous = wanted.replace(CALLER_KEY, "sk-wrong");
    for (request, status) in [(anonymous, 401), (head(CHAT, 20 << 20, "expect: 100-continue\r\n"), 413)] {
        let mut wire = Wire::open(stage.gateway.address()).await;
        wire.write(&request).await;
        assert_eq!(wire.reply().await.status, status);
    }
    stage.assert_nothing_was_sent("refused");
}
