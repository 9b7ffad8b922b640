//! Which connection a call gets, and what happens to one that is dead.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use gateway_upstream::{BoxError, Origin, RequestBody, SendLimits, Upstream, UpstreamConfig, UpstreamErrorKind};
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncWriteExt;
use tokio::join;
use tokio::runtime::Builder;

use crate::peer::{OK, Peer, call, limits, post, read, send, within_patience};

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let (peer, upstream) = Peer::plain().await;
    let calls = async {
        for body in ["a", "b", "c"] {
            assert_eq!(call(&upstream, body).await.unwrap(), "ok");
        }
    };
    let serving = async {
        let mut wire = peer.accept().await;
        for (expected, answer) in [
            (b"a", OK),
            (b"b", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            (b"c", OK),
        ] {
            assert_eq!(wire.serve(answer).await.1, expected);
        }
    };
    join!(calls, serving);
    assert!(peer.is_next().await);
}

#[tokio::test]
async fn a_reader_that_stops_at_the_announced_length_gives_the_connection_back() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve(OK).await;
        wire.serve("HTTP/1.1 204 No Content\r\n\r\n").await;
        wire.serve(OK).await;
    };
    let calls = async {
        let mut body = send(&upstream, "a").await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
        drop(body);
        drop(send(&upstream, "b").await.unwrap());
        call(&upstream, "c").await.unwrap();
    };
    join!(serving, calls);
    assert!(peer.is_next().await);
}

#[tokio::test]
async fn the_connection_used_last_is_used_next() {
    let (peer, upstream) = Peer::plain().await;
    let both = async { join!(send(&upstream, "first"), send(&upstream, "second")) };
    let serving = async {
        let (mut a, mut b) = (peer.accept().await, peer.accept().await);
        a.serve(OK).await;
        b.serve(OK).await;
        (a, b)
    };
    let ((first, second), (mut a, mut b)) = join!(both, serving);
    // `a` is the connection that was accepted first; which call it carries is not known, so both are read in turn.
    read(first.unwrap()).await.unwrap();
    read(second.unwrap()).await.unwrap();
    let again = call(&upstream, "third");
    let serving = async {
        tokio::select! {
            _ = a.serve(OK) => (),
            _ = b.serve(OK) => (),
        }
    };
    join!(async { again.await.unwrap() }, serving);
    assert!(peer.is_next().await);
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_configured() {
    for (max_idle, idle_timeout) in [(0, Duration::from_mins(1)), (8, Duration::ZERO)] {
        let mut peer = Peer::new("http").await;
        peer.config.max_idle = max_idle;
        peer.config.idle_timeout = idle_timeout;
        let upstream = Upstream::new(peer.config.clone()).unwrap();
        let serving = async {
            let mut wire = peer.accept().await;
            wire.serve(OK).await;
            assert_eq!(wire.closed().await, b"");
        };
        let (answer, ()) = join!(call(&upstream, "a"), serving);
        answer.unwrap();
    }
}

#[tokio::test]
async fn dropping_the_upstream_closes_idle_connections() {
    let (peer, upstream) = Peer::plain().await;
    let mut wire = join!(call(&upstream, "a"), async {
        let mut wire = peer.accept().await;
        wire.serve(OK).await;
        wire
    })
    .1;
    drop(upstream);
    assert_eq!(wire.closed().await, b"");
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        for _ in 0..3 {
            let mut wire = peer.accept().await;
            wire.serve(OK).await;
        }
    };
    let calls = async {
        for _ in 0..3 {
            call(&upstream, "a").await.unwrap();
        }
    };
    join!(serving, calls);
}

/// The race of RFC 9112, 9.3.1: the request was written, then the connection closes without a byte in answer.
#[tokio::test]
async fn a_reused_connection_that_closes_unanswered_is_replaced_once() {
    for reset in [false, true] {
        let (peer, upstream) = Peer::plain().await;
        let serving = async {
            let mut wire = peer.accept().await;
            wire.serve(OK).await;
            assert_eq!(wire.read_request().await.1, b"again");
            if reset {
                wire.stream.set_zero_linger().unwrap();
            }
            drop(wire);
            let mut wire = peer.accept().await;
            let (head, body) = wire.serve(OK).await;
            assert!(head.starts_with("POST /v1/x?y=1 HTTP/1.1\r\n"), "{head}");
            assert_eq!(body, b"again");
        };
        let calls = async {
            call(&upstream, "a").await.unwrap();
            assert_eq!(call(&upstream, "again").await.unwrap(), "ok");
        };
        join!(serving, calls);
        assert!(peer.is_next().await);
    }
}

#[tokio::test]
async fn the_replacement_is_not_replaced() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve(OK).await;
        wire.read_request().await;
        drop(wire);
        peer.accept().await.read_request().await;
    };
    let calls = async {
        call(&upstream, "a").await.unwrap();
        assert_eq!(send(&upstream, "b").await.unwrap_err().kind(), UpstreamErrorKind::Reset);
    };
    join!(serving, calls);
    assert!(peer.is_next().await);
}

#[tokio::test]
async fn a_new_connection_that_fails_is_an_error() {
    let (peer, upstream) = Peer::plain().await;
    for reads in [true, false] {
        let serving = async {
            let mut wire = peer.accept().await;
            if reads {
                wire.read_request().await;
            }
        };
        let (failed, ()) = join!(send(&upstream, "a"), serving);
        assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::Reset);
        assert!(peer.is_next().await);
    }
}

#[tokio::test]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve(OK).await;
        wire.serve("HTTP/1.1 200").await;
        drop(wire);
    };
    let calls = async {
        call(&upstream, "a").await.unwrap();
        assert_eq!(send(&upstream, "b").await.unwrap_err().kind(), UpstreamErrorKind::Reset);
    };
    join!(serving, calls);
    assert!(peer.is_next().await);
}

#[tokio::test]
async fn a_body_that_streams_is_sent_once_only() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve(OK).await;
        wire.read_request().await;
        drop(wire);
    };
    let calls = async {
        call(&upstream, "a").await.unwrap();
        let body = RequestBody::streaming(Full::new(Bytes::from("b")).map_err(|never| -> BoxError { match never {} }));
        let request = Request::post("/").body(body).unwrap();
        let failed = within_patience(upstream.send(request, limits())).await.unwrap_err();
        assert_eq!(failed.kind(), UpstreamErrorKind::Reset);
    };
    join!(serving, calls);
    assert!(peer.is_next().await);
}

#[tokio::test]
async fn a_timeout_is_never_repeated() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve(OK).await;
        wire.read_request().await;
        wire.closed().await;
    };
    let calls = async {
        call(&upstream, "a").await.unwrap();
        let hasty = SendLimits { headers: Duration::from_millis(30), ..limits() };
        let failed = within_patience(upstream.send(post("b"), hasty)).await.unwrap_err();
        assert_eq!(failed.kind(), UpstreamErrorKind::HeadersTimeout);
    };
    join!(serving, calls);
    assert!(peer.is_next().await);
}

/// The request is too large to be on its way whole: the connection breaks under a write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_connection_that_breaks_under_a_large_body_is_replaced() {
    let (peer, upstream) = Peer::plain().await;
    let large = Bytes::from(vec![b'x'; 16 * 1024 * 1024]);
    let serving = tokio::spawn(async move {
        let mut wire = peer.accept().await;
        wire.serve(OK).await;
        wire.read_head().await;
        wire.stream.set_zero_linger().unwrap();
        drop(wire);
        (peer.accept().await.serve(OK).await.1, peer)
    });
    call(&upstream, "a").await.unwrap();
    let answer = within_patience(upstream.send(post(large.clone()), limits())).await.unwrap();
    assert_eq!(read(answer).await.unwrap(), "ok");
    let (received, peer) = serving.await.unwrap();
    assert!(received == large);
    assert!(peer.is_next().await);
}

/// RFC 9112, section 9.3, and whatever else makes it doubtful where an answer ends.
#[tokio::test]
async fn a_connection_is_not_used_again_where_its_answer_forbids_it() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: x, close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok?",
    ] {
        let (peer, upstream) = Peer::plain().await;
        let serving = async {
            let mut first = peer.accept().await;
            first.serve(answer).await;
            assert_eq!(first.closed().await, b"", "{answer}");
            peer.accept().await.serve(OK).await;
        };
        let calls = async {
            assert_eq!(call(&upstream, "a").await.unwrap(), "ok");
            assert_eq!(call(&upstream, "b").await.unwrap(), "ok");
        };
        join!(serving, calls);
    }
}

#[tokio::test]
async fn a_connection_at_rest_is_dropped_as_soon_as_its_upstream_closes_it_or_speaks() {
    for speaks in [false, true] {
        let (peer, upstream) = Peer::plain().await;
        let serving = async {
            let mut wire = peer.accept().await;
            wire.serve(OK).await;
            wire
        };
        let (mut wire, answer) = join!(serving, call(&upstream, "a"));
        answer.unwrap();
        if speaks {
            wire.write("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await;
        } else {
            wire.stream.shutdown().await.unwrap();
        }
        // Without a call that would look.
        assert_eq!(wire.closed().await, b"");
        drop(upstream);
    }
}

/// The reset has come before the request, but nobody has heard of it yet: nothing of the request can be written.
#[tokio::test]
async fn a_request_that_could_not_be_written_is_sent_whole_on_a_new_connection() {
    let streaming =
        || RequestBody::streaming(Full::new(Bytes::from("again")).map_err(|never| -> BoxError { match never {} }));
    for body in [|| RequestBody::from(Bytes::from("again")), streaming] {
        let (peer, upstream) = Peer::plain().await;
        let serving = async {
            let mut wire = peer.accept().await;
            wire.serve(OK).await;
            wire
        };
        let (wire, answer) = join!(serving, call(&upstream, "a"));
        answer.unwrap();
        wire.stream.set_zero_linger().unwrap();
        drop(wire);
        let request = Request::post("/").body(body()).unwrap();
        let serving = async { peer.accept().await.serve(OK).await.1 };
        let (answer, sent) = join!(within_patience(upstream.send(request, limits())), serving);
        assert_eq!(read(answer.unwrap()).await.unwrap(), "ok");
        assert_eq!(sent, b"again");
    }
}

/// A connection is heard by the runtime that opened it. Both runtimes are here, so that each has to have a turn of its own.
#[test]
fn a_connection_stays_with_the_runtime_that_opened_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let upstream = Upstream::new(UpstreamConfig::new(Origin::from_uri(&uri).unwrap())).unwrap();
    let dialled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&dialled);
    thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || answer_all(&stream.unwrap()));
        }
    });
    let [first, second] = [(); 2].map(|()| Builder::new_current_thread().enable_all().build().unwrap());
    for (runtime, connections) in [(&first, 1), (&first, 1), (&second, 2), (&first, 2), (&second, 2)] {
        runtime.block_on(call(&upstream, "a")).unwrap();
        assert_eq!(dialled.load(Ordering::SeqCst), connections);
    }
}

/// Answers each request of a connection until its end; their bodies are one byte.
fn answer_all(mut stream: &std::net::TcpStream) {
    let mut read = Vec::new();
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        read.push(byte[0]);
        if read.ends_with(b"\r\n\r\na") {
            read.clear();
            stream.write_all(OK.as_bytes()).unwrap();
        }
    }
}
