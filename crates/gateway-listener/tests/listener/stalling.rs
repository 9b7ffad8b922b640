//! A peer that reads nothing is given up in the middle of its answer, and one that reads slowly never.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_listener::Drained;
use http_body_util::{BodyExt, Empty, Full};
use hyper::Request;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::fixture::{LARGE, PATIENCE, Server};
use crate::tls::Files;

const SHORT: Duration = Duration::from_millis(150);
/// Twelve times what a slow reader pauses, so that a busy machine may keep it waiting, and less than its whole answer takes.
const AMPLE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(250);
/// So many parts are read slowly, in more time than [`AMPLE`].
const READS: usize = 16;
const MIB: usize = 1024 * 1024;
const STREAM: &str = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";

/// Keeps the answer to `/stream` coming until the listener drops its body.
async fn pour(frames: &mpsc::Sender<Bytes>) {
    let frame = Bytes::from(vec![b'x'; MIB]);
    timeout(PATIENCE, async { while frames.send(frame.clone()).await.is_ok() {} }).await.expect("the body is kept");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_given_up() {
    let server = Server::with(|config| config.head.write_timeout = SHORT).await;
    let mut client = server.connect().await;
    client.send(STREAM).await;
    client.0.read_exact(&mut [0; 40]).await.unwrap();
    pour(&server.frames).await;
}

#[tokio::test]
async fn so_it_is_over_tls() {
    let files = Files::new();
    let server = Server::with(|config| {
        config.tls = Some(files.paths());
        config.head.write_timeout = SHORT;
    })
    .await;
    let mut client = files.connect(&server, b"http/1.1").await;
    client.write_all(STREAM.as_bytes()).await.unwrap();
    client.read_exact(&mut [0; 40]).await.unwrap();
    pour(&server.frames).await;
}

#[tokio::test]
async fn the_rest_of_an_answer_that_nobody_reads_is_given_up() {
    let server = Server::with(|config| {
        config.head.write_timeout = SHORT;
        config.drain_timeout = PATIENCE * 2;
    })
    .await;
    let mut client = server.connect().await;
    client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    server.probe.wait_for_calls(1).await;
    // The listener ends only when no connection is left, and this one is not done with its call.
    let drained = timeout(PATIENCE, server.stop()).await.expect("the connection is kept").unwrap();
    assert_eq!(drained, Drained { finished: 0, cut: 1 });
    drop(client);
}

/// Reads a large answer, with pauses, in more than the write timeout.
async fn read_slowly(mut client: impl AsyncRead + AsyncWrite + Unpin) {
    client.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while (&mut client).take(MIB as u64 * 2).read_to_end(&mut answer).await.expect("reset") > 0 {
        sleep(PAUSE).await;
    }
    assert!(answer.len() > LARGE, "{} bytes arrived", answer.len());
}

#[tokio::test]
async fn a_slow_reader_gets_its_whole_answer() {
    let files = Files::new();
    let plain = Server::with(|config| config.head.write_timeout = AMPLE).await;
    let secured = Server::with(|config| {
        config.tls = Some(files.paths());
        config.head.write_timeout = AMPLE;
    })
    .await;
    let client = files.connect(&secured, b"http/1.1").await;
    tokio::join!(read_slowly(plain.connect().await.0), read_slowly(client));
}

/// What the system would gather to send must not hide the progress: here it is read in more than the write timeout.
#[tokio::test]
async fn a_reader_that_takes_a_trickle_is_kept() {
    let server = Server::with(|config| config.head.write_timeout = AMPLE).await;
    let socket = TcpSocket::new_v4().unwrap();
    // Small, because what the reader's own system gathers cannot be told from a reader that does nothing.
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut client = socket.connect(server.address).await.unwrap();
    client.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut part = vec![0; 64 * 1024];
    for _ in 0..READS {
        sleep(PAUSE).await;
        client.read_exact(&mut part).await.unwrap();
    }
    // It is kept to the end; only the rest is read faster.
    let mut rest = Vec::new();
    client.take((LARGE - READS * part.len()) as u64).read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), LARGE - READS * part.len());
}

type Http2 = SendRequest<Empty<Bytes>>;

/// An HTTP/2 client that grants each answer this much until it reads.
async fn connect_http2(server: &Server, window: u32) -> Http2 {
    let io = TokioIo::new(server.connect().await.0);
    let mut builder = Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.initial_stream_window_size(window).handshake(io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://x{path}")).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn an_http2_stream_without_window_is_reset_alone() {
    let server = Server::with(|config| config.head.write_timeout = SHORT).await;
    let mut client = connect_http2(&server, 65_535).await;
    let held = client.send_request(request("/hold"));
    server.probe.wait_for_calls(1).await;
    let unread = client.send_request(request("/stream")).await.unwrap();
    pour(&server.frames).await;
    // Neither the connection nor a call that merely takes long is affected.
    server.probe.release.add_permits(1);
    assert_eq!(held.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "GET /hold ");
    let other = client.send_request(request("/a")).await.unwrap();
    assert_eq!(other.into_body().collect().await.unwrap().to_bytes(), "GET /a ");
    unread.into_body().collect().await.unwrap_err();
}

#[tokio::test]
async fn uploads_that_nobody_reads_do_not_stop_others_of_the_connection() {
    // All that a connection may have at once, but for one.
    const UNREAD: usize = 255;
    let server = Server::start().await;
    let io = TokioIo::new(server.connect().await.0);
    let (mut client, connection) = Builder::new(TokioExecutor::new()).handshake(io).await.unwrap();
    tokio::spawn(connection);
    let large = Bytes::from(vec![b'x'; MIB]);
    let upload = |path: &str| Request::post(format!("http://x{path}")).body(Full::new(large.clone())).unwrap();
    let unread: Vec<_> = (0..UNREAD).map(|_| client.send_request(upload("/unread-until-released"))).collect();
    server.probe.wait_for_calls(UNREAD).await;
    let read = timeout(PATIENCE, client.send_request(upload("/a"))).await.unwrap().unwrap();
    assert_eq!(read.into_body().collect().await.unwrap().to_bytes().len(), "POST /a ".len() + MIB);
    server.probe.release.add_permits(UNREAD);
    for answer in unread {
        assert_eq!(answer.await.unwrap().into_body().collect().await.unwrap().to_bytes(), "released");
    }
}

#[tokio::test]
async fn a_slow_http2_reader_gets_its_whole_answer_also_while_draining() {
    let server = Server::with(|config| {
        config.head.write_timeout = AMPLE;
        config.head.keep_alive = SHORT;
    })
    .await;
    let mut client = connect_http2(&server, 2 * 1024 * 1024).await;
    let mut body = client.send_request(request("/large")).await.unwrap().into_body();
    let stopping = server.stop();
    let (mut length, mut pause_at) = (0, MIB);
    while let Some(frame) = body.frame().await {
        length += frame.expect("cut").into_data().unwrap().len();
        if length >= pause_at {
            pause_at += 2 * MIB;
            sleep(PAUSE).await;
        }
    }
    assert_eq!(length, LARGE);
    assert_eq!(stopping.await.unwrap(), Drained { finished: 1, cut: 0 });
}

/// Each stream has a task of its own, which hears of the end of its connection when it is run next.
#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_http2_connections_that_were_cut_are_over_when_serving_is() {
    const CALLS: usize = 200;
    let server = Server::with(|config| config.drain_timeout = Duration::ZERO).await;
    let mut client = connect_http2(&server, 65_535).await;
    let held: Vec<_> = (0..CALLS).map(|_| client.send_request(request("/hold"))).collect();
    server.probe.wait_for_calls(CALLS).await;
    let probe = server.probe.clone();
    assert_eq!(server.stop().await.unwrap(), Drained { finished: 0, cut: 1 });
    // Every call holds on to it.
    assert_eq!(Arc::strong_count(&probe.release), 1);
    for call in held {
        call.await.unwrap_err();
    }
}
