//! Shared connections: how many streams they carry, and how they end.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use gateway_upstream::{BoxError, RequestBody, ResponseBody, Upstream, UpstreamErrorKind};
use h2::server::{Connection, SendResponse};
use h2::{Reason, SendStream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::join;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::server::TlsStream;

use crate::peer::{call, limits, post, read, send, within_patience};
use crate::tls::TlsPeer;

pub(crate) type Peer = Connection<TlsStream<TcpStream>, Bytes>;
pub(crate) type Answer = SendResponse<Bytes>;

pub(crate) async fn accept(server: &TlsPeer, max_streams: u32) -> Peer {
    let stream = server.accept().await.unwrap();
    within_patience(h2::server::Builder::new().max_concurrent_streams(max_streams).handshake(stream)).await.unwrap()
}

pub(crate) async fn next(peer: &mut Peer) -> (Request<h2::RecvStream>, Answer) {
    within_patience(peer.accept()).await.expect("connection closed").unwrap()
}

pub(crate) fn answer(mut to: Answer) {
    let mut body = to.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from("ok"), true).unwrap();
}

/// Keeps a connection going until the client closes it.
pub(crate) async fn drain(mut peer: Peer) {
    while let Some(Ok((_, to))) = peer.accept().await {
        answer(to);
    }
}

/// A server that accepts connections for as long as it lives and sends every request to the test.
pub(crate) struct Server {
    pub(crate) connections: Arc<AtomicUsize>,
    requests: mpsc::Receiver<(usize, Answer)>,
    pub(crate) upstream: Upstream,
}

impl Server {
    pub(crate) async fn start(max_streams: u32) -> Self {
        let server = TlsPeer::new(&["h2", "http/1.1"]).await;
        let upstream = server.upstream();
        let connections = Arc::new(AtomicUsize::new(0));
        let (sender, requests) = mpsc::channel(1024);
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let mut peer = accept(&server, max_streams).await;
                let number = count.fetch_add(1, Ordering::SeqCst);
                let sender = sender.clone();
                tokio::spawn(async move {
                    while let Some(Ok((_, to))) = peer.accept().await {
                        sender.send((number, to)).await.unwrap();
                    }
                });
            }
        });
        Self { connections, requests, upstream }
    }

    pub(crate) async fn requests(&mut self, count: usize) -> Vec<(usize, Answer)> {
        let mut received = Vec::new();
        while received.len() < count {
            received.push(within_patience(self.requests.recv()).await.unwrap());
        }
        received
    }
}

#[tokio::test]
async fn requests_name_the_origin_in_their_uri() {
    let server = TlsPeer::new(&["h2", "http/1.1"]).await;
    let upstream = server.upstream();
    let request = Request::post("http://elsewhere.example/v1/x?y=1")
        .header("host", "elsewhere.example")
        .body(RequestBody::from(Bytes::from("a")))
        .unwrap();
    let serving = async {
        let mut peer = accept(&server, 100).await;
        let (request, to) = next(&mut peer).await;
        answer(to);
        tokio::spawn(drain(peer));
        request
    };
    let (answer, seen) = join!(within_patience(upstream.send(request, limits())), serving);
    assert_eq!(read(answer.unwrap()).await.unwrap(), "ok");
    let port = server.peer.listener.local_addr().unwrap().port();
    assert_eq!(seen.uri().to_string(), format!("https://127.0.0.1:{port}/v1/x?y=1"));
    assert_eq!(seen.headers().get("host"), None);
    assert_eq!(seen.headers()["content-length"], "1");
}

/// No answer is given before all requests are there, so none may wait behind another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_peers_limit_of_streams_get_further_connections() {
    let mut server = Server::start(3).await;
    let upstream = server.upstream.clone();
    let calls = tokio::spawn(async move { join_all((0..10).map(|_| call(&upstream, "a"))).await });
    let waiting = server.requests(10).await;
    assert_eq!(server.connections.load(Ordering::SeqCst), 4);
    for (_, to) in waiting {
        answer(to);
    }
    for answer in within_patience(calls).await.unwrap() {
        assert_eq!(answer.unwrap(), "ok");
    }
    // All are free again, and the first serves.
    let upstream = server.upstream.clone();
    let again = tokio::spawn(async move { call(&upstream, "b").await });
    answer(server.requests(1).await.remove(0).1);
    within_patience(again).await.unwrap().unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn after_a_goaway_a_call_gets_a_new_connection() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let serving = async {
        let mut peer = accept(&server, 100).await;
        let (_, to) = next(&mut peer).await;
        answer(to);
        let (_, mut held) = next(&mut peer).await;
        let mut body = held.send_response(Response::new(()), false).unwrap();
        peer.graceful_shutdown();
        let old = tokio::spawn(async move { while peer.accept().await.is_some() {} });
        let mut peer = accept(&server, 100).await;
        let (_, to) = next(&mut peer).await;
        answer(to);
        tokio::spawn(drain(peer));
        // The call that was in progress ends as if nothing had happened.
        body.send_data(Bytes::from("late"), true).unwrap();
        within_patience(old).await.unwrap();
    };
    let calls = async {
        assert_eq!(call(&upstream, "a").await.unwrap(), "ok");
        let held = send(&upstream, "b").await.unwrap();
        assert_eq!(call(&upstream, "c").await.unwrap(), "ok");
        assert_eq!(read(held).await.unwrap(), "late");
    };
    join!(serving, calls);
}

#[tokio::test]
async fn a_stream_reset_for_another_reason_is_an_error() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let begun = Notify::new();
    let serving = async {
        let mut peer = accept(&server, 100).await;
        let (_, to) = next(&mut peer).await;
        answer(to);
        let (_, mut to) = next(&mut peer).await;
        to.send_reset(Reason::INTERNAL_ERROR);
        let (_, mut to) = next(&mut peer).await;
        let mut body = to.send_response(Response::new(()), false).unwrap();
        until(&mut peer, begun.notified()).await;
        body.send_reset(Reason::INTERNAL_ERROR);
        tokio::spawn(drain(peer));
    };
    let calls = async {
        assert_eq!(call(&upstream, "a").await.unwrap(), "ok");
        assert_eq!(send(&upstream, "b").await.unwrap_err().kind(), UpstreamErrorKind::Reset);
        let cut = send(&upstream, "c").await.unwrap();
        begun.notify_one();
        assert_eq!(read(cut).await.unwrap_err().kind(), UpstreamErrorKind::BodyReset);
        assert_eq!(call(&upstream, "d").await.unwrap(), "ok");
    };
    join!(calls, serving);
}

/// Lets a connection of the peer go on until something has happened that is no further request.
pub(crate) async fn until<F: Future>(peer: &mut Peer, event: F) -> F::Output {
    tokio::select! {
        output = within_patience(event) => output,
        _ = peer.accept() => panic!("nothing else comes"),
    }
}

#[tokio::test]
async fn dropping_a_call_or_a_body_resets_its_stream() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let (seen, reset) = (Notify::new(), Notify::new());
    let serving = async {
        let mut peer = accept(&server, 100).await;
        let (_, mut to) = next(&mut peer).await;
        seen.notify_one();
        let reason = until(&mut peer, poll_fn(|cx| to.poll_reset(cx))).await;
        assert_eq!(reason.unwrap(), Reason::CANCEL);
        reset.notify_one();
        let (_, mut to) = next(&mut peer).await;
        let mut body = to.send_response(Response::new(()), false).unwrap();
        body.send_data(Bytes::from("a"), false).unwrap();
        let reason = until(&mut peer, poll_fn(|cx| body.poll_reset(cx))).await;
        assert_eq!(reason.unwrap(), Reason::CANCEL);
        reset.notify_one();
        let (_, to) = next(&mut peer).await;
        answer(to);
        tokio::spawn(drain(peer));
    };
    let calls = async {
        tokio::select! {
            () = seen.notified() => (),
            _ = send(&upstream, "a") => panic!("nobody answers"),
        }
        reset.notified().await;
        let mut body = send(&upstream, "b").await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        reset.notified().await;
        assert_eq!(call(&upstream, "c").await.unwrap(), "ok");
    };
    join!(serving, calls);
}

#[tokio::test]
async fn a_failing_upload_resets_its_stream() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let source = stream::unfold(0, |step| async move {
        tokio::task::yield_now().await;
        match step {
            0..5 => Some((Ok(Frame::data(Bytes::from("x"))), step + 1)),
            _ => Some((Err(BoxError::from("the caller left")), step + 1)),
        }
    });
    let request = Request::post("/").body(RequestBody::streaming(StreamBody::new(source))).unwrap();
    let serving = async {
        let mut peer = accept(&server, 100).await;
        let (mut request, to) = next(&mut peer).await;
        let ended = async {
            loop {
                match request.body_mut().data().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return error,
                    None => panic!("a cut body must not look complete"),
                }
            }
        };
        let error = tokio::select! {
            error = within_patience(ended) => error,
            _ = peer.accept() => panic!("nothing else comes"),
        };
        drop(to);
        error
    };
    let (failed, error) = join!(within_patience(upstream.send(request, limits())), serving);
    assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::RequestBody);
    assert!(error.is_reset());
}

/// The answer is complete before the upload is: the rest of the upload is given up, the connection stays.
#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let source = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("x")))]).chain(stream::pending());
    let request = Request::post("/").body(RequestBody::streaming(StreamBody::new(source))).unwrap();
    let ended = Notify::new();
    let serving = async {
        let mut peer = accept(&server, 100).await;
        let (mut request, to) = next(&mut peer).await;
        answer(to);
        let rest = async { while let Some(Ok(_)) = request.body_mut().data().await {} };
        until(&mut peer, rest).await;
        ended.notify_one();
        let (_, to) = next(&mut peer).await;
        answer(to);
        tokio::spawn(drain(peer));
    };
    let calls = async {
        let early = within_patience(upstream.send(request, limits())).await.unwrap();
        assert_eq!(read(early).await.unwrap(), "ok");
        ended.notified().await;
        assert_eq!(call(&upstream, "a").await.unwrap(), "ok");
    };
    join!(serving, calls);
}

#[tokio::test]
async fn idle_connections_are_not_kept_for_ever() {
    for (max_idle, idle_timeout) in [(0, Duration::from_mins(1)), (8, Duration::ZERO)] {
        let mut server = TlsPeer::new(&["h2"]).await;
        server.peer.config.max_idle = max_idle;
        server.peer.config.idle_timeout = idle_timeout;
        let upstream = server.upstream();
        let serving = async {
            let mut first = accept(&server, 100).await;
            let (_, to) = next(&mut first).await;
            answer(to);
            let first = tokio::spawn(drain(first));
            let mut second = accept(&server, 100).await;
            let (_, to) = next(&mut second).await;
            answer(to);
            tokio::spawn(drain(second));
            within_patience(first).await.unwrap();
        };
        let calls = async {
            assert_eq!(call(&upstream, "a").await.unwrap(), "ok");
            assert_eq!(call(&upstream, "b").await.unwrap(), "ok");
        };
        join!(serving, calls);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mebibyte_goes_both_ways() {
    let server = TlsPeer::new(&["h2"]).await;
    let upstream = server.upstream();
    let sent: Vec<u8> = (0..1024 * 1024_u32).map(|byte| byte.to_le_bytes()[0] ^ byte.to_le_bytes()[1]).collect();
    let serving = tokio::spawn(async move {
        let mut peer = accept(&server, 100).await;
        while let Some(Ok((request, mut to))) = peer.accept().await {
            tokio::spawn(async move {
                let mut request = request.into_body();
                let mut back = to.send_response(Response::new(()), false).unwrap();
                while let Some(data) = request.data().await {
                    let data = data.unwrap();
                    request.flow_control().release_capacity(data.len()).unwrap();
                    back.send_data(data, false).unwrap();
                }
                back.send_data(Bytes::new(), true).unwrap();
            });
        }
    });
    for _ in 0..3 {
        let echo = within_patience(upstream.send(post(sent.clone()), limits())).await.unwrap();
        assert!(read(echo).await.unwrap() == sent);
    }
    drop(upstream);
    within_patience(serving).await.unwrap();
}

/// A call whose answer is written and not read: the body, and the server's end of the stream.
async fn unread(server: &mut Server, write: impl FnOnce(&mut SendStream<Bytes>)) -> (ResponseBody, Answer) {
    let upstream = server.upstream.clone();
    let asking = async { send(&upstream, "a").await.unwrap().into_body() };
    let answering = async {
        let (_, mut to) = server.requests(1).await.remove(0);
        write(&mut to.send_response(Response::new(()), false).unwrap());
        to
    };
    join!(asking, answering)
}

/// All streams share one window of the connection, and each reader that stops keeps a part of it.
#[tokio::test]
async fn readers_who_stop_hold_up_nobody_else() {
    const STALLED: usize = 40;
    let mut server = Server::start(100).await;
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    let mut held = Vec::new();
    for _ in 0..STALLED {
        held.push(unread(&mut server, |back| back.send_data(large.clone(), true).unwrap()).await);
    }
    // As much as the connection's window would be without all that is held.
    for _ in 0..10 {
        let (body, _to) = unread(&mut server, |back| back.send_data(large.clone(), true).unwrap()).await;
        assert_eq!(within_patience(body.collect()).await.unwrap().to_bytes().len(), large.len());
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let (body, _) = held.remove(0);
    assert_eq!(within_patience(body.collect()).await.unwrap().to_bytes().len(), large.len());
}

#[tokio::test]
async fn small_frames_that_nobody_reads_end_nothing() {
    const FRAMES: usize = 20_000;
    const STALLED: usize = 4;
    let mut server = Server::start(100).await;
    let small = Bytes::from_static(&[b'x'; 30]);
    let mut held = Vec::new();
    for _ in 0..STALLED {
        let write = |back: &mut SendStream<Bytes>| {
            for at in 1..=FRAMES {
                back.send_data(small.clone(), at == FRAMES).unwrap();
            }
        };
        held.push(unread(&mut server, write).await);
    }
    for _ in 0..10 {
        let upstream = server.upstream.clone();
        let (answer, ()) = join!(call(&upstream, "b"), async { answer(server.requests(1).await.remove(0).1) });
        assert_eq!(answer.unwrap(), "ok");
    }
    for (body, _to) in held {
        assert_eq!(within_patience(body.collect()).await.unwrap().to_bytes().len(), FRAMES * small.len());
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}
