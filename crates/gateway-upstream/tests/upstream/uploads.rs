//! Bodies that stream up over HTTP/1.1, as the peer sees them byte by byte.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateway_upstream::{BoxError, RequestBody, UpstreamErrorKind};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio::join;

use crate::peer::{OK, Peer, limits, read, within_patience};

/// A body in parts, which may say how long it is.
struct Parts {
    left: Vec<&'static str>,
    said: Option<u64>,
}

impl Body for Parts {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = (!self.left.is_empty()).then(|| self.left.remove(0));
        Poll::Ready(next.map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes())))))
    }

    fn size_hint(&self) -> SizeHint {
        self.said.map(SizeHint::with_exact).unwrap_or_default()
    }
}

fn request(parts: &[&'static str], said: Option<u64>) -> Request<RequestBody> {
    Request::post("/").body(RequestBody::streaming(Parts { left: parts.to_vec(), said })).unwrap()
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_in_chunks() {
    let (peer, upstream) = Peer::plain().await;
    let serving = async {
        let mut wire = peer.accept().await;
        let head = wire.read_head().await;
        assert!(head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"), "{head}");
        assert_eq!(wire.read_until(b"0\r\n\r\n").await, b"3\r\nabc\r\nb\r\n0123456789x\r\n0\r\n\r\n");
        wire.write(OK).await;
    };
    let request = request(&["abc", "", "0123456789x"], None);
    let (answer, ()) = join!(within_patience(upstream.send(request, limits())), serving);
    assert_eq!(read(answer.unwrap()).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says_or_an_error() {
    for (parts, is_right) in [(&["ab", "cd"][..], true), (&["ab", "c"], false), (&["ab", "cde"], false)] {
        let (peer, upstream) = Peer::plain().await;
        let serving = async {
            let mut wire = peer.accept().await;
            assert!(wire.read_head().await.contains("content-length: 4\r\n"));
            if is_right {
                assert_eq!(wire.read_until(b"abcd").await, b"abcd");
                wire.write(OK).await;
            } else {
                assert!(wire.closed().await.len() < 4, "nothing that looks complete");
            }
        };
        let sending = async {
            let answer = within_patience(upstream.send(request(parts, Some(4)), limits())).await;
            match answer {
                Ok(answer) => Ok(read(answer).await.unwrap()),
                Err(error) => Err(error.kind()),
            }
        };
        let (answer, ()) = join!(sending, serving);
        let expected = if is_right { Ok(Bytes::from_static(b"ok")) } else { Err(UpstreamErrorKind::RequestBody) };
        assert_eq!(answer, expected, "{parts:?}");
    }
}
