//! A peer that answers before it has read the request, and hangs up: the answer counts, not the broken upload.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use gateway_call::Deadline;
use gateway_upstream::{BoxError, RequestBody, SendLimits, UpstreamErrorKind};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::AsyncReadExt;
use tokio::join;
use tokio::time::Instant;

use crate::cancellation::alone;
use crate::peer::{OK, PATIENCE, Peer, call, limits, read, within_patience};

const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 5\r\n\r\nlarge";

/// More than the buffers in between hold: 4 MiB at the sender and 6 MiB at the receiver by Linux defaults.
fn large() -> RequestBody {
    RequestBody::from(Bytes::from(vec![b'x'; 16 * 1024 * 1024]))
}

/// A source that always has more to send.
fn endless() -> RequestBody {
    let block = Bytes::from(vec![b'x'; 64 * 1024]);
    RequestBody::streaming(StreamBody::new(stream::repeat_with(move || Ok::<_, BoxError>(Frame::data(block.clone())))))
}

/// The peer has a thread of its own, so that it hangs up between two writes as well as between two looks at the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_although_the_peer_hung_up_on_the_upload() {
    for body in [large as fn() -> RequestBody, endless] {
        for _ in 0..20 {
            let (peer, upstream) = Peer::plain().await;
            let serving = tokio::spawn(async move {
                let mut wire = peer.accept().await;
                wire.read_head().await;
                let mut some = vec![0; 1024 * 1024];
                wire.stream.read_exact(&mut some).await.unwrap();
                wire.write(TOO_LARGE).await;
                // Most of the upload was not read, so the kernel resets the connection.
                drop(wire);
                peer.accept().await.serve(OK).await;
            });
            let request = Request::post("/").body(body()).unwrap();
            let answer = within_patience(upstream.send(request, limits())).await.unwrap();
            assert_eq!(answer.status(), 413);
            assert_eq!(read(answer).await.unwrap(), "large");
            // The broken connection serves nobody else.
            assert_eq!(call(&upstream, "a").await.unwrap(), "ok");
            serving.await.unwrap();
            drop(upstream);
            alone().await;
        }
    }
}

#[tokio::test]
async fn hanging_up_without_an_answer_ends_the_upload() {
    for body in [large as fn() -> RequestBody, endless] {
        let (peer, upstream) = Peer::plain().await;
        let serving = async {
            let mut wire = peer.accept().await;
            wire.read_head().await;
        };
        let request = Request::post("/").body(body()).unwrap();
        let (failed, ()) = join!(within_patience(upstream.send(request, limits())), serving);
        assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::Reset);
        alone().await;
    }
}

/// Nothing ever comes of this upload, neither an answer nor an error. Only time can end that, so it takes some.
#[tokio::test]
async fn a_peer_that_stops_reading_and_says_nothing_runs_into_a_limit() {
    const SHORT: Duration = Duration::from_millis(50);
    for (body, headers, total, expected) in [
        (large as fn() -> RequestBody, SHORT, PATIENCE, UpstreamErrorKind::HeadersTimeout),
        // The time for the head has not begun while the upload goes on.
        (endless, SHORT, 4 * SHORT, UpstreamErrorKind::TotalTimeout),
    ] {
        let (peer, upstream) = Peer::plain().await;
        let serving = async {
            let mut wire = peer.accept().await;
            wire.read_head().await;
            let wire = wire.stream.into_std().unwrap();
            wire.shutdown(std::net::Shutdown::Read).unwrap();
            wire
        };
        let deadline = Deadline::after(Instant::now().into_std(), total);
        let request = Request::post("/").body(body()).unwrap();
        let hasty = SendLimits { headers, deadline, ..limits() };
        let (failed, _wire) = join!(within_patience(upstream.send(request, hasty)), serving);
        assert_eq!(failed.unwrap_err().kind(), expected);
        alone().await;
    }
}
