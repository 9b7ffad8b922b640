//! Stopping: what runs may finish, what waits is told, what is idle goes, what does not end is cut and counted.

use std::time::Duration;

use bytes::Bytes;
use gateway_listener::Drained;
use tokio::time::Instant;

use crate::fixture::{LARGE, Server};

const HOLD: &str = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";

/// Longer than any of these tests takes.
const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_running_call_is_finished_and_its_answer_is_the_last() {
    let server = Server::start().await;
    let mut busy = server.connect().await;
    busy.send(HOLD).await;
    server.probe.wait_for_calls(1).await;
    let (probe, address) = (server.probe.clone(), server.address);
    let stopping = server.stop();

    while tokio::net::TcpStream::connect(address).await.is_ok() {
        // The listener has to have its turn first.
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    probe.release.add_permits(1);
    let answer = busy.read_to_close().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("GET /hold "), "{answer}");
    assert_eq!(answer.matches("connection: close\r\n").count(), 1, "{answer}");
    assert_eq!(stopping.await.unwrap(), Drained { finished: 1, cut: 0 });
}

#[tokio::test]
async fn a_request_on_an_idle_connection_is_served_as_its_last() {
    let server = Server::with(|config| config.idle_grace = LONG).await;
    let (mut idle, mut held) = (server.connect().await, server.connect().await);
    idle.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.read_until("GET /a ").await;
    held.send(HOLD).await;
    server.probe.wait_for_calls(2).await;
    let probe = server.probe.clone();
    let stopping = server.stop();
    probe.release.add_permits(1);
    // The drain has begun when its first connection has ended.
    held.read_to_close().await;
    idle.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = idle.read_to_close().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("GET /b "), "{answer}");
    assert_eq!(answer.matches("connection: close\r\n").count(), 1, "{answer}");
    assert_eq!(stopping.await.unwrap(), Drained { finished: 1, cut: 0 });
}

#[tokio::test]
async fn a_connection_whose_answer_had_begun_is_kept_for_a_next_request() {
    let server = Server::with(|config| config.idle_grace = LONG).await;
    let mut client = server.connect().await;
    client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.frames.send(Bytes::from("first")).await.unwrap();
    let head = client.read_until("first").await;
    // Its client was not told that the connection would end, and may use it again.
    assert!(!head.contains("connection: close"), "{head}");
    let (frames, stopping) = server.stop_streaming();
    drop(frames);
    client.read_until("0\r\n\r\n").await;
    client.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(client.read_to_close().await.ends_with("GET /b "));
    assert_eq!(stopping.await.unwrap(), Drained { finished: 1, cut: 0 });
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_its_grace_is_over() {
    for grace in [Duration::ZERO, Duration::from_millis(50)] {
        let server = Server::with(|config| config.idle_grace = grace).await;
        let mut idle = server.connect().await;
        idle.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
        idle.read_until("GET /a ").await;
        let began = Instant::now();
        let stopping = server.stop();
        assert_eq!(idle.read_to_close().await, "");
        assert!(began.elapsed() >= grace);
        assert_eq!(stopping.await.unwrap(), Drained::default());
    }
}

#[tokio::test]
async fn a_stream_goes_on_to_its_end() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.frames.send(Bytes::from("first")).await.unwrap();
    client.read_until("first").await;
    let (frames, stopping) = server.stop_streaming();
    for _ in 0..3 {
        frames.send(Bytes::from("more")).await.unwrap();
        client.read_until("more").await;
    }
    drop(frames);
    client.read_until("0\r\n\r\n").await;
    assert_eq!(client.read_to_close().await, "");
    assert_eq!(stopping.await.unwrap(), Drained { finished: 1, cut: 0 });
}

#[tokio::test]
async fn a_request_that_began_to_arrive_is_served() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.read_until("GET /a ").await;
    client.send("GET /b HTTP/1.1\r\nHo").await;
    // Another connection's round trip: the partial head, sent before, has been seen by then.
    let mut other = server.connect().await;
    other.send("GET /c HTTP/1.1\r\nHost: x\r\n\r\n").await;
    other.read_until("GET /c ").await;
    let stopping = server.stop();
    other.read_to_close().await;
    client.send("st: x\r\n\r\n").await;
    assert!(client.read_to_close().await.ends_with("GET /b "));
    assert_eq!(stopping.await.unwrap().cut, 0);
}

#[tokio::test]
async fn connections_in_the_accept_queue_are_served() {
    let server = Server::start().await;
    // All connect and send while the listener cannot run: this test has one thread and does not yield to it.
    let address = server.address;
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            std::io::Write::write_all(&mut client, b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            client
        })
        .collect();
    let drained = server.stop().await.unwrap();
    assert_eq!(drained.cut, 0);
    for mut client in clients {
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut client, &mut answer).unwrap();
        assert!(answer.ends_with("GET /a "), "{answer}");
    }
}

#[tokio::test]
async fn what_does_not_end_is_cut_and_counted() {
    let server = Server::with(|config| config.drain_timeout = Duration::from_millis(200)).await;
    let (mut one, mut two, three) = (server.connect().await, server.connect().await, server.connect().await);
    one.send(HOLD).await;
    two.send(HOLD).await;
    server.probe.wait_for_calls(2).await;
    let began = Instant::now();
    assert_eq!(server.stop().await.unwrap(), Drained { finished: 0, cut: 2 });
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(one.read_to_close().await, "");
    assert_eq!(two.read_to_close().await, "");
    drop(three);
}

/// The call itself is over when the drain begins, its bytes are not. How long they may take is the supervisor's own test.
#[tokio::test]
async fn an_answer_that_was_not_read_yet_is_finished() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.probe.wait_for_calls(1).await;
    let stopping = server.stop();
    let answer = client.read_to_close().await;
    assert!(answer.len() > LARGE, "{} bytes arrived", answer.len());
    assert_eq!(stopping.await.unwrap(), Drained { finished: 1, cut: 0 });
}
