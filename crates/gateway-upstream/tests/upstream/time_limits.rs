//! Each phase has its own limit, and the error says which one passed.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use gateway_call::{Deadline, Outcome, TimeoutPhase};
use gateway_upstream::{BoxError, Origin, RequestBody, SendLimits, Upstream, UpstreamConfig, UpstreamErrorKind};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::join;
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::peer::{OK, PATIENCE, Peer, limits, post, within_patience};

const SHORT: Duration = Duration::from_millis(50);

fn deadline_in(time: Duration) -> Deadline {
    Deadline::after(Instant::now().into_std(), time)
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error_until_it_opens() {
    // A bound socket that does not listen keeps its port from everybody else, and refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let origin = Origin::from_uri(&format!("http://{}", socket.local_addr().unwrap()).parse().unwrap()).unwrap();
    let config = UpstreamConfig::new(origin);
    let upstream = Upstream::new(config.clone()).unwrap();
    let failed = upstream.send(post("a"), limits()).await.unwrap_err();
    assert_eq!(failed.kind(), UpstreamErrorKind::Connect);
    assert_eq!(failed.outcome(), Outcome::Transport);

    let peer = Peer { listener: socket.listen(1).unwrap(), config };
    let (answer, _) = join!(upstream.send(post("b"), limits()), async { peer.accept().await.serve(OK).await });
    assert!(answer.is_ok());
}

/// A name has at most 255 octets (RFC 1035, section 2.3.4), so no resolver is asked for a longer one.
#[tokio::test]
async fn a_name_without_address_is_a_resolve_error() {
    let origin = Origin::from_uri(&format!("http://{}/", "a".repeat(256)).parse().unwrap()).unwrap();
    let upstream = Upstream::new(UpstreamConfig::new(origin)).unwrap();
    let failed = upstream.send(post("a"), limits()).await.unwrap_err();
    assert_eq!(failed.kind(), UpstreamErrorKind::Resolve);
}

#[tokio::test]
async fn a_handshake_that_is_not_answered_runs_into_the_connect_timeout() {
    let peer = Peer::new("https").await;
    let upstream = Upstream::new(peer.config.clone()).unwrap();
    let hasty = SendLimits { connect: SHORT, ..limits() };
    let accepted = async { peer.accept().await };
    // The second call waits for the connection of the first, within its own limit.
    let (first, second, mut wire) = join!(upstream.send(post("a"), hasty), upstream.send(post("b"), hasty), accepted);
    for failed in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(failed.kind(), UpstreamErrorKind::ConnectTimeout);
        assert_eq!(failed.outcome(), Outcome::Timeout(TimeoutPhase::Connect));
    }
    assert!(!wire.closed().await.is_empty(), "a client hello, then the close");
}

#[tokio::test]
async fn the_deadline_bounds_connecting_too() {
    let peer = Peer::new("https").await;
    let upstream = Upstream::new(peer.config.clone()).unwrap();
    let failed = upstream.send(post("a"), SendLimits { deadline: deadline_in(SHORT), ..limits() }).await.unwrap_err();
    assert_eq!(failed.kind(), UpstreamErrorKind::TotalTimeout);
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let (peer, upstream) = Peer::plain().await;
    let late = SendLimits { deadline: deadline_in(Duration::ZERO), ..limits() };
    assert_eq!(upstream.send(post("a"), late).await.unwrap_err().kind(), UpstreamErrorKind::TotalTimeout);
    assert!(peer.is_next().await);
}

#[tokio::test]
async fn a_missing_head_runs_into_the_headers_timeout_or_the_deadline() {
    for (headers, total, expected) in [
        (SHORT, PATIENCE, UpstreamErrorKind::HeadersTimeout),
        (PATIENCE, SHORT, UpstreamErrorKind::TotalTimeout),
        (Duration::MAX, SHORT, UpstreamErrorKind::TotalTimeout),
    ] {
        let (peer, upstream) = Peer::plain().await;
        let hasty = SendLimits { headers, deadline: deadline_in(total), ..limits() };
        let serving = async {
            let mut wire = peer.accept().await;
            wire.read_request().await;
            wire.closed().await;
        };
        let (failed, ()) = join!(within_patience(upstream.send(post("a"), hasty)), serving);
        assert_eq!(failed.unwrap_err().kind(), expected);
    }
}

/// The upload takes longer than the headers timeout; the time for the head starts after it. How long both take is what is
/// tested, so the source sleeps; on a paused clock the time would run ahead of the sockets.
#[tokio::test]
async fn the_headers_timeout_starts_when_the_request_was_sent() {
    let (peer, upstream) = Peer::plain().await;
    let slow = stream::unfold(0, |step| async move {
        tokio::time::sleep(SHORT).await;
        (step < 4).then(|| (Ok::<_, BoxError>(Frame::data(Bytes::from("x"))), step + 1))
    });
    let request = Request::post("/").body(RequestBody::streaming(StreamBody::new(slow))).unwrap();
    let hasty = SendLimits { headers: SHORT * 2, ..limits() };
    let serving = async {
        let mut wire = peer.accept().await;
        let head = wire.read_head().await;
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        // No answer: now the time runs.
        wire.closed().await
    };
    let started = Instant::now();
    let (failed, sent) = join!(within_patience(upstream.send(request, hasty)), serving);
    assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::HeadersTimeout);
    assert!(started.elapsed() >= SHORT * 7, "{:?}", started.elapsed());
    assert!(sent.ends_with(b"0\r\n\r\n"), "the upload was not complete");
}

#[tokio::test]
async fn silence_in_a_body_runs_into_the_idle_timeout_or_the_deadline() {
    for (idle, total, expected) in
        [(SHORT, PATIENCE, UpstreamErrorKind::IdleTimeout), (PATIENCE, SHORT, UpstreamErrorKind::TotalTimeout)]
    {
        let (peer, upstream) = Peer::plain().await;
        let serving = async {
            let mut wire = peer.accept().await;
            wire.serve("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
            wire.closed().await;
        };
        let reading = async {
            let hasty = SendLimits { deadline: deadline_in(total), ..limits() };
            let mut body = upstream.send(post("a"), hasty).await.unwrap().into_body().with_idle(idle);
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
            assert_eq!(within_patience(body.frame()).await.unwrap().unwrap_err().kind(), expected);
            assert!(body.frame().await.is_none());
        };
        join!(reading, serving);
    }
}

#[tokio::test]
async fn a_slow_reader_does_not_use_up_the_idle_timeout() {
    let idle = PATIENCE / 8;
    let (peer, upstream) = Peer::plain().await;
    let waiting = Notify::new();
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        for part in ["o", "k"] {
            waiting.notified().await;
            wire.write(part).await;
        }
    };
    let reading = async {
        let mut body = upstream.send(post("a"), limits()).await.unwrap().into_body().with_idle(idle);
        for part in ["o", "k"] {
            assert!(body.frame().now_or_never().is_none());
            waiting.notify_one();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), part);
            // The reader is busy with other things for longer than the other side may be silent.
            tokio::time::pause();
            tokio::time::advance(idle * 2).await;
            tokio::time::resume();
        }
        assert!(body.frame().await.is_none());
    };
    join!(reading, serving);
}

/// A connection keeps its timer from call to call, and leaves it alone while it goes off early enough: here in the middle of a
/// wait, because it was set for one of the call before.
#[tokio::test]
async fn the_idle_timeout_counts_from_the_last_part_whatever_the_connection_waited_for_before() {
    let idle = PATIENCE / 4;
    let (peer, upstream) = Peer::plain().await;
    let waiting = Notify::new();
    let serving = async {
        let mut wire = peer.accept().await;
        for head in ["HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"] {
            wire.serve(head).await;
            waiting.notified().await;
            wire.write("x").await;
        }
        wire.closed().await;
    };
    let reading = async {
        let mut bodies = Vec::new();
        for call in ["first", "second"] {
            let mut body = upstream.send(post(call), limits()).await.unwrap().into_body().with_idle(idle);
            assert!(body.frame().now_or_never().is_none());
            waiting.notify_one();
            tokio::time::pause();
            tokio::time::advance(idle * 3 / 4).await;
            tokio::time::resume();
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "x", "{call}");
            bodies.push(body);
        }
        tokio::time::pause();
        let (mut body, moment) = (bodies.remove(1), Duration::from_millis(1));
        assert!(body.frame().now_or_never().is_none());
        tokio::time::advance(idle.checked_sub(moment).unwrap()).await;
        assert!(body.frame().now_or_never().is_none());
        tokio::time::advance(moment).await;
        let failed = body.frame().now_or_never().expect("the time is over").unwrap().unwrap_err();
        assert_eq!(failed.kind(), UpstreamErrorKind::IdleTimeout);
        tokio::time::resume();
    };
    join!(reading, serving);
}

/// There is always something to read, so no wait ever ends: the deadline holds all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deadline_ends_a_body_without_pauses() {
    let (peer, upstream) = Peer::plain().await;
    let flood = tokio::spawn(async move {
        let mut wire = peer.accept().await;
        wire.serve("HTTP/1.1 200 OK\r\n\r\n").await;
        let block = vec![b'x'; 64 * 1024];
        while tokio::io::AsyncWriteExt::write_all(&mut wire.stream, &block).await.is_ok() {}
    });
    let limits = SendLimits { deadline: deadline_in(SHORT * 4), ..limits() };
    let mut body = upstream.send(post("a"), limits).await.unwrap().into_body();
    let failed = within_patience(async {
        loop {
            if let Err(error) = body.frame().await.unwrap() {
                return error;
            }
        }
    });
    assert_eq!(failed.await.kind(), UpstreamErrorKind::TotalTimeout);
    within_patience(flood).await.unwrap();
}
