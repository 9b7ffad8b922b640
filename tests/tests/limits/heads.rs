//! A key that is used up is told so by the head of its call: its body is neither asked for nor held.

use std::time::Duration;

use gateway_testing::{Client, Gate, Script};
use gateway_tests::patience::until;
use gateway_tests::stage::{CALL, CHAT, Stage};
use gateway_tests::wire::{Reply, Wire};

use super::scene::{asking, call, key, number, reporting, request, settled, spawn, stage};

/// A body that nobody would want to hold for nothing.
const LARGE: usize = 30 << 20;

fn head(key: &str, length: usize) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n"
    )
}

/// Sends the head of a call with a large body, and waits to be asked for it.
async fn announce(stage: &Stage, name: &str) -> Reply {
    announce_on(&mut Wire::open(stage.gateway.address()).await, name).await
}

async fn announce_on(wire: &mut Wire, name: &str) -> Reply {
    wire.write(head(&key(name), LARGE) + "expect: 100-continue\r\n\r\n").await;
    wire.reply().await
}

/// All that a refusal by the whole call has: the same words, and the same headers.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_would_be_for_nothing_is_not_asked_for() {
    let stage = stage(&[
        ("requests", "rate_limit: { limit: 1, period_seconds: 7200 }"),
        ("both", "rate_limit: { limit: 1, period_seconds: 7200, tokens_per_minute: 600 }"),
        ("blocked", "rate_limit: { requests_per_minute: 0 }"),
    ])
    .await;
    for name in ["requests", "both"] {
        assert_eq!(announce(&stage, name).await.status, 100, "{name}: there is something left");
        assert_eq!(settled(&stage, name, asking(0)).await.status, 200, "{name}");
    }
    for name in ["requests", "both", "blocked"] {
        let early = announce(&stage, name).await;
        let late = call(&stage, name, asking(0)).await;
        assert_eq!((early.status, late.status.as_u16()), (429, 429), "{name}: {early:?}");
        assert!(early.body.contains(&late.error_code()), "{name}: {early:?}");
        let names = ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-should-retry", "content-type"];
        for header in names {
            assert_eq!(early.header(header), late.header(header), "{name}: {header}");
        }
        for header in ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-limit-tokens"] {
            assert_eq!(early.header(header).is_empty(), late.header(header).is_empty(), "{name}: {header}");
        }
        for header in ["x-request-id", "x-gateway-overhead-us"] {
            assert!(!early.header(header).is_empty(), "{name}: {early:?}");
        }
    }
    let wait: u64 = announce(&stage, "requests").await.header("retry-after-ms").parse().unwrap();
    assert!(Duration::from_millis(wait) > Duration::from_mins(100), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_one_beyond_so_many_calls_at_once() {
    let stage = stage(&[("team-a", "rate_limit: { max_concurrent: 1 }")]).await;
    let gate = Gate::new();
    stage.upstream.push(Script::new().wait(&gate).answer(200, "application/json", "{}"));
    let held = spawn(&stage, "team-a", CALL);
    stage.upstream.request(0).await;
    let refused = announce(&stage, "team-a").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{refused:?}");
    assert!(refused.body.contains("concurrency_limit_exceeded"), "{refused:?}");
    gate.open();
    let answer = held.await.unwrap();
    stage.access_line(answer.header("x-request-id"));
    assert_eq!(announce(&stage, "team-a").await.status, 100);
}

/// Calls that bring their bodies are calls, or a key could keep all places by bringing them slowly.
#[tokio::test(flavor = "multi_thread")]
async fn who_brings_a_body_is_one_of_so_many_at_once() {
    let stage = stage(&[("team-a", "rate_limit: { max_concurrent: 2 }"), ("team-b", "")]).await;
    let mut wires = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::open(stage.gateway.address()).await;
        assert_eq!(announce_on(&mut wire, "team-a").await.status, 100);
        wires.push(wire);
    }
    let refused = announce(&stage, "team-a").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"), "{refused:?}");
    assert!(refused.body.contains("concurrency_limit_exceeded"), "{refused:?}");
    assert_eq!(announce(&stage, "team-b").await.status, 100);
    drop(wires.pop());
    let is_asked = async || (announce(&stage, "team-a").await.status == 100).then_some(());
    until("a place", is_asked).await;
}

/// HTTP/1 cannot stop a body that is on its way: either it is taken in, or the caller is told not to use the connection again.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_behind_a_refusal_or_is_said_to_end() {
    let stage = stage(&[("team-a", "rate_limit: { limit: 1, period_seconds: 7200 }")]).await;
    assert_eq!(call(&stage, "team-a", CALL).await.status, 200);
    for (key, status) in [(key("team-a"), 429), ("sk-nobody-1f0c2d9e48b1".to_owned(), 401)] {
        let mut wire = Wire::open(stage.gateway.address()).await;
        for _ in 0..5 {
            wire.write(head(&key, CALL.len()) + "\r\n").await;
            wire.write(CALL).await;
            let reply = wire.reply().await;
            assert_eq!((reply.status, reply.header("connection")), (status, ""), "{reply:?}");
        }
        wire.write(head(&key, LARGE) + "\r\n").await;
        let reply = wire.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (status, "close"), "{reply:?}");
    }
}

/// A look at the limits takes nothing from them: a call whose body turns out to be none has cost nothing.
#[tokio::test]
async fn a_look_costs_nothing() {
    let stage = stage(&[("team-a", "rate_limit: { limit: 2, period_seconds: 7200 }")]).await;
    for _ in 0..5 {
        assert_eq!(call(&stage, "team-a", "{").await.status, 400);
    }
    assert_eq!(number(&call(&stage, "team-a", CALL).await, "x-ratelimit-remaining-requests"), 1);
}

/// Many callers send everything before they read anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_sends_its_body_all_the_same_sees_the_refusal() {
    let stage = stage(&[("team-a", "rate_limit: { limit: 1, period_seconds: 7200 }")]).await;
    assert_eq!(call(&stage, "team-a", CALL).await.status, 200);
    let upload = request("team-a", "POST", CHAT, vec![b' '; LARGE]);
    let answer = Client::connect(stage.gateway.address()).await.send(upload).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (429, "rate_limit_exceeded"));
}

/// Where tokens are counted, a small body says for how long to wait: a limit that the head alone does not ask may be the last to
/// let the call through.
#[tokio::test]
async fn the_wait_is_that_of_all_limits() {
    let stage = stage(&[("team-a", "rate_limit: { requests_per_second: 1, tokens_per_minute: 600 }")]).await;
    stage.upstream.push(reporting(100, 500));
    assert_eq!(settled(&stage, "team-a", asking(600)).await.status, 200);
    let refused = call(&stage, "team-a", asking(300)).await;
    assert_eq!(refused.status, 429);
    assert!(number(&refused, "retry-after-ms") > 10_000, "300 of 600 tokens take half a minute: {:?}", refused.headers);
}

/// Sends a call whose length is not declared, up to the end if there is one.
async fn pour(stage: &Stage, name: &str, body: &str, end: &str) -> Reply {
    let mut wire = Wire::open(stage.gateway.address()).await;
    let (key, length) = (key(name), body.len());
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n{end}"
    );
    wire.write(head).await;
    wire.reply().await
}

/// The same goes for a small body of which nobody has said that it is one. Once it is no small one any more, it is not read on.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_read_as_far_as_a_small_one_goes() {
    let limits = "rate_limit: { limit: 1, period_seconds: 15, tokens_per_minute: 600 }";
    let stage = stage(&[("team-a", limits)]).await;
    let wait = |reply: &Reply| -> u64 { reply.header("retry-after-ms").parse().unwrap() };
    stage.upstream.push(reporting(100, 500));
    assert_eq!(settled(&stage, "team-a", asking(600)).await.status, 200);
    let small = pour(&stage, "team-a", &asking(300), "0\r\n\r\n").await;
    assert_eq!(small.status, 429, "{small:?}");
    assert!(wait(&small) > 20_000, "300 of 600 tokens take half a minute: {small:?}");
    let large = pour(&stage, "team-a", &" ".repeat(65 * 1024), "").await;
    assert_eq!(large.status, 429, "{large:?}");
    assert!(wait(&large) <= 15_000, "the body is not known: {large:?}");
}
