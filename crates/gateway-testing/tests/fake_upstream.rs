//! The double must do what its script says, or every test that uses it proves nothing.
#![allow(clippy::unwrap_used)]

use std::io;

use futures_util::FutureExt;
use gateway_testing::{FakeUpstream, Gate, Script};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GET: &[u8] = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n";

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn requests_take_scripts_in_order_over_one_connection() {
    let upstream = FakeUpstream::start([Script::json(200, "{}"), Script::json(429, "[]")]).await.unwrap();
    let mut client = TcpStream::connect(upstream.address()).await.unwrap();
    client
        .write_all(b"POST /v1/a?b=c HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await
        .unwrap();
    client.write_all(b"2;ext\r\nde\r\n0\r\n\r\n").await.unwrap();
    let first = read_until(&mut client, "{}").await;
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && first.contains("content-length: 2\r\n"), "{first}");
    client.write_all(GET).await.unwrap();
    assert!(read_until(&mut client, "[]").await.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));

    let request = upstream.request(0).await;
    assert_eq!((request.method(), request.target()), ("POST", "/v1/a?b=c"));
    assert_eq!(request.header("x-two"), Some("1"));
    assert_eq!(&request.body[..], b"abcde");
    assert_eq!(upstream.request(1).await.head, GET);
    assert_eq!(upstream.connections(), 1);
    drop(client);
    upstream.connection_closed(0).await;
}

#[tokio::test]
async fn gates_hold_and_the_peers_close_is_noticed_while_they_do() {
    let (gate, never) = (Gate::new(), Gate::new());
    let script = Script::event_stream().event("1").wait(&gate).event("2").wait(&never);
    let upstream = FakeUpstream::start([script]).await.unwrap();
    let mut client = TcpStream::connect(upstream.address()).await.unwrap();
    client.write_all(GET).await.unwrap();
    read_until(&mut client, "data: 1\n\n\r\n").await;
    let mut byte = [0];
    assert_eq!(client.try_read(&mut byte).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    gate.open();
    assert_eq!(read_until(&mut client, "data: 2\n\n\r\n").await, "9\r\ndata: 2\n\n\r\n");
    drop(client);
    upstream.connection_closed(0).await;
}

#[tokio::test]
async fn connections_close_and_reset_as_written() {
    let scripts =
        [Script::new().write("HTTP/1.1 2").close(), Script::after_head().reset(), Script::without_reading().close()];
    let upstream = FakeUpstream::start(scripts).await.unwrap();
    let mut text = Vec::new();

    let mut client = TcpStream::connect(upstream.address()).await.unwrap();
    client.write_all(GET).await.unwrap();
    client.read_to_end(&mut text).await.unwrap();
    assert_eq!(text, b"HTTP/1.1 2");

    let mut client = TcpStream::connect(upstream.address()).await.unwrap();
    client.write_all(GET).await.unwrap();
    assert_eq!(client.read_to_end(&mut text).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);

    let mut client = TcpStream::connect(upstream.address()).await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);

    let mut client = TcpStream::connect(upstream.address()).await.unwrap();
    client.write_all(GET).await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "no script is left");
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn what_finds_no_script_left_is_answered_otherwise() {
    let upstream = FakeUpstream::start([Script::json(200, "1")]).await.unwrap();
    upstream.otherwise(|request| Script::json(200, request.target()));
    let mut client = TcpStream::connect(upstream.address()).await.unwrap();
    for expected in ["1", "/v1/models", "/v1/models"] {
        client.write_all(GET).await.unwrap();
        read_until(&mut client, &format!("\r\n\r\n{expected}")).await;
    }
    upstream.otherwise(|_| Script::new().close());
    client.write_all(GET).await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(upstream.requests().len(), 4);
}

#[tokio::test]
async fn rest_is_when_every_request_was_answered_or_its_connection_closed() {
    let gate = Gate::new();
    let upstream = FakeUpstream::start([Script::new().wait(&gate).write("done"), Script::new().stall()]).await.unwrap();
    upstream.at_rest().await;
    let mut answered = TcpStream::connect(upstream.address()).await.unwrap();
    answered.write_all(GET).await.unwrap();
    upstream.request(0).await;
    let mut left = TcpStream::connect(upstream.address()).await.unwrap();
    left.write_all(GET).await.unwrap();
    upstream.request(1).await;

    let mut rest = std::pin::pin!(upstream.at_rest());
    assert!((&mut rest).now_or_never().is_none());
    drop(left);
    upstream.connection_closed(1).await;
    assert!((&mut rest).now_or_never().is_none());
    gate.open();
    read_until(&mut answered, "done").await;
    rest.await;
}
