//! The protocol of a connection, which its first bytes tell: HTTP/2 begins with a preface (RFC 9113 section 3.4), anything else
//! is HTTP/1.
//!
//! hyper-util's `auto` does the same, but hands hyper the bytes that it has looked at by themselves. hyper then takes a buffer of twice the
//! size and a second look at the socket for every connection, so what was read is handed over whole here.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::guard::PREFACE;
use crate::multiplexed::StreamExecutor;
use crate::noted::BoxError;

/// What is read at once of a beginning, in bytes: hyper's own first buffer (`INIT_BUFFER_SIZE`).
const READ: usize = 8192;

/// How each protocol is served.
pub(crate) struct Protocols {
    pub(crate) http1: http1::Builder,
    pub(crate) http2: http2::Builder<StreamExecutor>,
}

pin_project! {
    /// A connection and what is known of its protocol.
    #[project = HttpConnectionProjection]
    pub(crate) enum HttpConnection<IO, S>
    where
        S: HttpService<Incoming>,
    {
        Undetected { undetected: Option<Undetected<IO, S>> },
        Http1 { #[pin] connection: http1::Connection<TokioIo<Rewind<IO>>, S> },
        // Boxed: it is twice as large as the usual one, and every connection would have room for it.
        Http2 { connection: Pin<Box<http2::Connection<TokioIo<Rewind<IO>>, S, StreamExecutor>>> },
    }
}

/// A connection that has not said which protocol it speaks.
pub(crate) struct Undetected<IO, S> {
    io: IO,
    first: Vec<u8>,
    service: S,
}

impl<IO, S, B> HttpConnection<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    S: HttpService<Incoming, ResBody = B, Error: Into<BoxError>, Future: Send + 'static>,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    pub(crate) fn new(io: IO, service: S) -> Self {
        Self::Undetected { undetected: Some(Undetected { io, first: Vec::new(), service }) }
    }

    /// Goes on with whatever can be gone on with; ready at the end of the connection.
    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        protocols: &Protocols,
        cx: &mut Context<'_>,
    ) -> Poll<hyper::Result<()>> {
        loop {
            let undetected = match self.as_mut().project() {
                HttpConnectionProjection::Http1 { connection } => return connection.poll(cx),
                HttpConnectionProjection::Http2 { connection } => return connection.as_mut().poll(cx),
                HttpConnectionProjection::Undetected { undetected } => undetected,
            };
            let Some(first) = undetected else { return Poll::Ready(Ok(())) };
            let is_http2 = match ready!(first.poll_first(cx)) {
                Ok(is_http2) => is_http2,
                Err(error) => {
                    tracing::debug!(%error, "connection closed before it said which protocol it speaks");
                    return Poll::Ready(Ok(()));
                }
            };
            if let Some(Undetected { io, first, service }) = undetected.take() {
                let io = TokioIo::new(Rewind { io, first, taken: 0 });
                self.set(if is_http2 {
                    Self::Http2 { connection: Box::pin(protocols.http2.serve_connection(io, service)) }
                } else {
                    Self::Http1 { connection: protocols.http1.serve_connection(io, service) }
                });
            }
        }
    }

    /// Takes no further call, and ends when those that run have ended.
    pub(crate) fn graceful_shutdown(self: Pin<&mut Self>) {
        match self.project() {
            HttpConnectionProjection::Http1 { connection } => connection.graceful_shutdown(),
            HttpConnectionProjection::Http2 { connection } => connection.as_mut().graceful_shutdown(),
            HttpConnectionProjection::Undetected { undetected } => *undetected = None,
        }
    }
}

impl<IO: AsyncRead + Unpin, S> Undetected<IO, S> {
    /// Reads until the protocol is known; says whether it is HTTP/2.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let same = self.first.iter().zip(PREFACE).take_while(|(byte, expected)| byte == expected).count();
            if same == PREFACE.len() || same < self.first.len() {
                return Poll::Ready(Ok(same == PREFACE.len()));
            }
            let mut space = [MaybeUninit::uninit(); READ];
            let mut read = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.first.extend_from_slice(read.filled());
        }
    }
}

/// A connection whose first bytes have been read, and are read again.
pub(crate) struct Rewind<IO> {
    io: IO,
    first: Vec<u8>,
    taken: usize,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Rewind<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.first[this.taken..];
        if rest.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let portion = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..portion]);
        this.taken += portion;
        if this.taken == this.first.len() {
            (this.first, this.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Rewind<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_util::task::TaskTracker;

    use super::*;

    fn protocols() -> Protocols {
        let executor = StreamExecutor::new(Duration::from_secs(1), TaskTracker::new());
        Protocols { http1: http1::Builder::new(), http2: http2::Builder::new(executor) }
    }

    /// So much of what a server that says which path it was asked for answers to these parts of a beginning.
    async fn answered(parts: impl IntoIterator<Item = &[u8]>, most: u64) -> Vec<u8> {
        let (mut client, server) = duplex(64 * 1024);
        let path =
            |request: Request<Incoming>| async move { Ok::<_, Infallible>(Response::new(request.uri().to_string())) };
        let serving = async {
            let protocols = protocols();
            let mut connection = pin!(HttpConnection::new(server, service_fn(path)));
            let _ = poll_fn(|cx| connection.as_mut().poll(&protocols, cx)).await;
        };
        let calling = async {
            for part in parts {
                client.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut answer = Vec::new();
            client.take(most).read_to_end(&mut answer).await.unwrap();
            answer
        };
        tokio::join!(serving, calling).1
    }

    #[tokio::test]
    async fn the_preface_tells_http2_however_it_arrives() {
        // An empty SETTINGS frame follows it, and the server's own comes in answer (RFC 9113 section 3.4).
        let beginning = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
        for size in [1, 5, PREFACE.len(), beginning.len()] {
            assert_eq!(answered(beginning.chunks(size), 4).await.get(3), Some(&4), "in parts of {size}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_http1_and_nothing_of_it_is_lost() {
        let long = format!("GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: {}\r\n\r\n", "y".repeat(2 * READ));
        for request in [
            "GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            "PRI /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            &long,
        ] {
            for size in [1, 3, READ, request.len()] {
                let answer = String::from_utf8(answered(request.as_bytes().chunks(size), u64::MAX).await).unwrap();
                assert!(
                    answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("/a"),
                    "in parts of {size}: {answer:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_connection_without_a_protocol_ends_at_once() {
        let (_client, server) = duplex(64);
        let none = |_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(String::new())) };
        let (protocols, mut connection) = (protocols(), pin!(HttpConnection::new(server, service_fn(none))));
        assert!(poll_fn(|cx| Poll::Ready(connection.as_mut().poll(&protocols, cx))).await.is_pending());
        connection.as_mut().graceful_shutdown();
        assert!(poll_fn(|cx| connection.as_mut().poll(&protocols, cx)).await.is_ok());
    }
}
