#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::RequestGuard;
use crate::activity::Activity;

/// A peer whose bytes arrive in given portions and that takes whatever is written.
struct Peer {
    bytes: Vec<u8>,
    portions: Vec<usize>,
    read: usize,
    turn: usize,
}

impl Peer {
    fn new(bytes: Vec<u8>, portions: Vec<usize>) -> Self {
        Self { bytes, portions, read: 0, turn: 0 }
    }
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let portion = self.portions[self.turn % self.portions.len()];
        let end = self.bytes.len().min(self.read + portion.min(buf.remaining()));
        buf.put_slice(&self.bytes[self.read..end]);
        self.turn += 1;
        self.read = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn guard(peer: Peer) -> RequestGuard<Peer> {
    RequestGuard::new(peer, Arc::new(Activity::new()), 64 * 1024)
}

/// What the guard passes on.
async fn pass(peer: Peer) -> Vec<u8> {
    let mut passed = Vec::new();
    // A refused body ends in an error; what was passed before it still counts.
    let _ = guard(peer).read_to_end(&mut passed).await;
    passed
}

/// The bodies of the requests that reach a service behind hyper and the guard.
async fn serve(peer: Peer) -> Vec<Vec<u8>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            if let Ok(body) = request.into_body().collect().await {
                seen.lock().push(body.to_bytes().to_vec());
            }
            Ok::<_, Infallible>(Response::new(Full::new(&b""[..])))
        }
    });
    // The end of the connection is not what is tested.
    let _ = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(guard(peer)), service)
        .await;
    std::mem::take(&mut *seen.lock())
}

fn field_line() -> impl Strategy<Value = String> {
    // Among them near misses of the two framing fields.
    let name = select(vec!["Host", "content-lengt", "Content-Length-X", "transfer-encodings", "X", "Authorization"]);
    (name, "[ -~]{0,12}").prop_map(|(name, value)| format!("{name}:{value}\r\n"))
}

fn length_framed() -> impl Strategy<Value = (String, Vec<u8>, Vec<u8>)> {
    let name = select(vec!["Content-Length: ", "content-length:", "CONTENT-LENGTH:\t "]);
    (name, vec(any::<u8>(), 0..40)).prop_map(|(name, body)| (format!("{name}{}  \r\n", body.len()), body.clone(), body))
}

fn chunk_framed() -> impl Strategy<Value = (String, Vec<u8>, Vec<u8>)> {
    let chunk = (vec(any::<u8>(), 1..20), select(vec!["", ";a=b", " ", "\t;x"]));
    let trailer = select(vec!["", "X: 1\r\n", "A: 1\r\nB: 2\r\n"]);
    let name = select(vec!["Transfer-Encoding: chunked\r\n", "transfer-encoding:Chunked \r\n"]);
    (name, vec(chunk, 0..4), trailer).prop_map(|(name, chunks, trailer)| {
        let (mut framed, mut plain) = (Vec::new(), Vec::new());
        for (data, extension) in chunks {
            framed.extend_from_slice(format!("{:x}{extension}\r\n", data.len()).as_bytes());
            framed.extend_from_slice(&data);
            framed.extend_from_slice(b"\r\n");
            plain.extend_from_slice(&data);
        }
        framed.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
        (name.to_owned(), framed, plain)
    })
}

/// A valid request as bytes, and its body.
fn request() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let unframed = Just((String::new(), Vec::new(), Vec::new()));
    let framing = prop_oneof![unframed, length_framed(), chunk_framed()];
    let lines = vec(field_line(), 0..4);
    let before = select(vec!["", "\r\n"]);
    let method = select(vec!["GET", "POST", "PRI", "PATCH"]);
    (before, method, lines, framing, any::<Index>()).prop_map(|(before, method, mut lines, framing, at)| {
        let (line, framed, plain) = framing;
        lines.insert(at.index(lines.len() + 1), line);
        let mut bytes = format!("{before}{method} /p HTTP/1.1\r\n{}\r\n", lines.concat()).into_bytes();
        bytes.extend_from_slice(&framed);
        (bytes, plain)
    })
}

/// A request that is framed twice, both ways leading somewhere.
fn ambiguous_request() -> impl Strategy<Value = Vec<u8>> {
    let first = select(vec!["Content-Length: 5\r\n", "content-length:0\r\n", "Transfer-Encoding: chunked\r\n"]);
    let second = select(vec!["content-length: 5\r\n", "TRANSFER-encoding:chunked\r\n"]);
    (first, vec(field_line(), 0..3), second, vec(field_line(), 0..3)).prop_map(|(first, between, second, after)| {
        let head = [first, &between.concat(), second, &after.concat()].concat();
        format!("POST /p HTTP/1.1\r\n{head}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n").into_bytes()
    })
}

fn portions() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![vec(1_usize..9, 1..8), Just(vec![1]), Just(vec![usize::MAX / 2]), vec(1_usize..200, 1..8)]
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn valid_requests_pass_unchanged_in_any_portions(requests in vec(request(), 1..5), portions in portions()) {
        let bytes: Vec<u8> = requests.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        prop_assert_eq!(block_on(pass(Peer::new(bytes.clone(), portions.clone()))), bytes.clone());
        let bodies: Vec<_> = requests.into_iter().map(|(_, body)| body).collect();
        prop_assert_eq!(block_on(serve(Peer::new(bytes, portions))), bodies);
    }

    #[test]
    fn an_ambiguous_request_and_what_follows_it_reach_no_service(
        before in vec(request(), 0..4),
        ambiguous in ambiguous_request(),
        portions in portions(),
    ) {
        let mut bytes: Vec<u8> = before.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        bytes.extend_from_slice(&ambiguous);
        let bodies: Vec<_> = before.into_iter().map(|(_, body)| body).collect();
        prop_assert_eq!(block_on(serve(Peer::new(bytes, portions))), bodies);
    }

    #[test]
    fn portions_do_not_change_what_passes(bytes in "[A-Z0-9:;, \r\n\0a-h]{0,80}", portions in portions()) {
        let head = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{bytes}");
        for text in [bytes, head] {
            let whole = block_on(pass(Peer::new(text.clone().into_bytes(), vec![usize::MAX / 2])));
            prop_assert_eq!(block_on(pass(Peer::new(text.into_bytes(), portions.clone()))), whole);
        }
    }
}

#[test]
fn http2_passes_whatever_follows_its_preface() {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(0..=255_u8);
    for portion in [1, 7, 24, 1000] {
        assert_eq!(block_on(pass(Peer::new(bytes.clone(), vec![portion]))), bytes);
    }
}
