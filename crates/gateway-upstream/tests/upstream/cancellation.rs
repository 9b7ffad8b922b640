//! Whoever drops a future or a body is heard by the upstream, and leaves nothing behind.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use gateway_upstream::{BoxError, RequestBody, UpstreamErrorKind};
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::AsyncWriteExt;
use tokio::join;
use tokio::time::{Instant, timeout};

use crate::peer::{Peer, limits, post, send, within_patience};

/// Waits until no other task is left.
pub(crate) async fn alone() {
    let metrics = tokio::runtime::Handle::current().metrics();
    within_patience(async {
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_a_body_closes_the_connection() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n").await;
        wire
    };
    let (response, mut wire) = join!(send(&upstream, "a"), serving);
    let mut body = response.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    // The connection's task waits for the socket now, as it does in the pauses of a stream.
    assert!(body.frame().now_or_never().is_none());
    tokio::task::yield_now().await;
    let dropped = Instant::now();
    drop(body);
    wire.closed().await;
    println!("the upstream saw the close after {:?}", dropped.elapsed());
    alone().await;
}

#[tokio::test]
async fn dropping_a_call_before_its_answer_closes_the_connection() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.read_request().await;
        wire
    };
    let mut wire = tokio::select! {
        wire = serving => wire,
        _ = send(&upstream, "a") => panic!("nobody answers"),
    };
    wire.closed().await;
    alone().await;
}

#[tokio::test]
async fn dropping_a_call_in_the_middle_of_its_upload_closes_the_connection() {
    let (peer, upstream) = Peer::plain().await;
    let endless = stream::repeat_with(|| Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 64 * 1024]))));
    let request = Request::post("/").body(RequestBody::streaming(StreamBody::new(endless))).unwrap();
    let serving = async {
        let mut wire = peer.accept().await;
        wire.read_head().await;
        wire
    };
    let mut wire = tokio::select! {
        wire = serving => wire,
        _ = upstream.send(request, limits()) => panic!("nobody answers"),
    };
    // Everything that was on its way can be read, and no end of the body is among it.
    assert!(!wire.closed().await.ends_with(b"\r\n0\r\n\r\n"));
    alone().await;
}

/// An answer that came before the upload was through: its body ends, the upload is given up.
#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    let (peer, upstream) = Peer::plain().await;
    let source = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from("x")))]).chain(stream::pending());
    let request = Request::post("/").body(RequestBody::streaming(StreamBody::new(source))).unwrap();
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve("HTTP/1.1 413 Content Too Large\r\ncontent-length: 1\r\n\r\nx").await;
        wire.closed().await;
    };
    let calling = async {
        let response = upstream.send(request, limits()).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "x");
    };
    join!(serving, calling);
    alone().await;
}

#[tokio::test]
async fn a_failing_upload_abandons_the_request() {
    let (peer, upstream) = Peer::plain().await;
    let source = stream::iter([Ok(Frame::data(Bytes::from("half"))), Err(BoxError::from("the caller left"))]);
    let request = Request::post("/").body(RequestBody::streaming(StreamBody::new(source))).unwrap();
    let serving = async {
        let mut wire = peer.accept().await;
        wire.closed().await
    };
    let (failed, sent) = join!(within_patience(upstream.send(request, limits())), serving);
    let failed = failed.unwrap_err();
    assert_eq!(failed.kind(), UpstreamErrorKind::RequestBody);
    assert_eq!(std::error::Error::source(&failed).unwrap().to_string(), "the caller left");
    assert!(!sent.ends_with(b"0\r\n\r\n"), "a cut body must not look complete");
    alone().await;
}

/// Nobody reads, so the upstream can write only what fits the buffers in between.
#[tokio::test]
async fn a_slow_reader_holds_the_upstream_up() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        wire.serve("HTTP/1.1 200 OK\r\n\r\n").await;
        let block = vec![b'x'; 64 * 1024];
        let mut written = 0;
        while let Ok(result) = timeout(Duration::from_millis(300), wire.stream.write(&block)).await {
            written += result.unwrap();
        }
        written
    };
    let (response, written) = join!(upstream.send(post("a"), limits()), serving);
    println!("{written} bytes went out before the upstream's writes stalled");
    // The kernel's buffers on both sides (up to 6 MiB and 4 MiB by Linux defaults) and one of hyper's.
    assert!(written < 16 * 1024 * 1024, "{written}");
    drop(response);
}
