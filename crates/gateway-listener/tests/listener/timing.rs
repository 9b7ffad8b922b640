//! Connections that say nothing, or too slowly, are closed; those that wait for an answer are not.

use std::time::Duration;

use tokio::time::Instant;

use crate::fixture::Server;

const SHORT: Duration = Duration::from_millis(150);
/// Enough for a first request on a machine that does other things as well.
const AMPLE: Duration = Duration::from_millis(750);
const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_head_that_is_never_finished_is_given_up() {
    for beginning in ["", "G", "GET / HTTP/1.1\r\nHost: x\r\n", "PRI * HTTP/2.0\r\n\r\n"] {
        let server = Server::with(|config| config.head.header_timeout = SHORT).await;
        let began = Instant::now();
        let mut client = server.connect().await;
        client.send(beginning).await;
        client.read_to_close().await;
        assert!(began.elapsed() >= SHORT, "{beginning:?}");
        assert!(server.probe.seen().is_empty());
    }
}

#[tokio::test]
async fn trickling_a_head_does_not_buy_time() {
    let server = Server::with(|config| config.head.header_timeout = SHORT).await;
    let mut client = server.connect().await;
    let began = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n").await;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let closed = client.0.split();
    let (mut read, mut write) = closed;
    let mut end = [0];
    loop {
        tokio::select! {
            read = tokio::io::AsyncReadExt::read(&mut read, &mut end) => { assert_eq!(read.unwrap_or(0), 0); break }
            _ = tick.tick() => drop(tokio::io::AsyncWriteExt::write_all(&mut write, b"A: 1\r\n").await),
        }
    }
    assert!((SHORT..LONG).contains(&began.elapsed()));
}

#[tokio::test]
async fn the_second_head_has_its_own_time() {
    let server = Server::with(|config| config.head.header_timeout = AMPLE).await;
    let mut client = server.connect().await;
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HT").await;
    client.read_until("GET /a ").await;
    assert_eq!(client.read_to_close().await, "");
    assert_eq!(server.probe.seen(), ["GET /a "]);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    let server = Server::with(|config| {
        config.head.keep_alive = SHORT;
        config.head.header_timeout = LONG;
    })
    .await;
    let mut client = server.connect().await;
    // The time begins later than this, with the answer.
    let began = Instant::now();
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.read_until("GET /a ").await;
    assert_eq!(client.read_to_close().await, "");
    assert!((SHORT..LONG).contains(&began.elapsed()));
}

#[tokio::test]
async fn a_call_may_take_longer_than_idle_connections_and_heads_do() {
    let server = Server::with(|config| {
        config.head.keep_alive = AMPLE;
        config.head.header_timeout = AMPLE;
    })
    .await;
    let mut client = server.connect().await;
    // The next head has begun to arrive; it does not disturb the running call.
    client.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /b HT").await;
    server.probe.wait_for_calls(1).await;
    // The ends of these two, which began later, are the sign that either limit is over.
    let (mut silent, mut idle) = (server.connect().await, server.connect().await);
    idle.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.read_to_close().await;
    silent.read_to_close().await;
    server.probe.release.add_permits(1);
    client.read_until("GET /hold ").await;
}
