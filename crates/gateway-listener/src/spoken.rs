//! The protocol of a connection, which its first bytes tell: HTTP/2 begins with a preface (RFC 9113 section 3.4), anything else
//! is HTTP/1.
//!
//! hyper-util's `auto` does the same, but hands hyper the bytes that it has looked at by themselves. hyper then takes a buffer of twice the
//! size and a second look at the socket for every connection, so what was read is handed over whole here.

use std::error::Error as StdError;
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

/// What is read at once of a beginning, in bytes; as much as hyper reads.
const READ: usize = 8192;

type BoxError = Box<dyn StdError + Send + Sync>;

/// How each protocol is served.
pub(crate) struct Protocols {
    pub(crate) http1: http1::Builder,
    pub(crate) http2: http2::Builder<StreamExecutor>,
}

pin_project! {
    /// A connection and what is known of its protocol.
    #[project = SpokenProjection]
    pub(crate) enum Spoken<IO, S>
    where
        S: HttpService<Incoming>,
    {
        Unknown { opening: Option<Opening<IO, S>> },
        Http1 { #[pin] connection: http1::Connection<TokioIo<Begun<IO>>, S> },
        Http2 { #[pin] connection: http2::Connection<TokioIo<Begun<IO>>, S, StreamExecutor> },
    }
}

/// A connection that has not said which protocol it speaks.
pub(crate) struct Opening<IO, S> {
    io: IO,
    first: Vec<u8>,
    service: S,
}

impl<IO, S, B> Spoken<IO, S>
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    S: HttpService<Incoming, ResBody = B, Error: Into<BoxError>, Future: Send + 'static>,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    pub(crate) fn new(io: IO, service: S) -> Self {
        Self::Unknown { opening: Some(Opening { io, first: Vec::new(), service }) }
    }

    /// Goes on with whatever can be gone on with; ready at the end of the connection.
    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        protocols: &Protocols,
        cx: &mut Context<'_>,
    ) -> Poll<hyper::Result<()>> {
        loop {
            let opening = match self.as_mut().project() {
                SpokenProjection::Http1 { connection } => return connection.poll(cx),
                SpokenProjection::Http2 { connection } => return connection.poll(cx),
                SpokenProjection::Unknown { opening } => opening,
            };
            let Some(unknown) = opening else { return Poll::Ready(Ok(())) };
            let Ok(is_http2) = ready!(unknown.poll_first(cx)) else { return Poll::Ready(Ok(())) };
            if let Some(Opening { io, first, service }) = opening.take() {
                let io = TokioIo::new(Begun { io, first, taken: 0 });
                self.set(if is_http2 {
                    Self::Http2 { connection: protocols.http2.serve_connection(io, service) }
                } else {
                    Self::Http1 { connection: protocols.http1.serve_connection(io, service) }
                });
            }
        }
    }

    /// Takes no further call, and ends when those that run have ended.
    pub(crate) fn graceful_shutdown(self: Pin<&mut Self>) {
        match self.project() {
            SpokenProjection::Http1 { connection } => connection.graceful_shutdown(),
            SpokenProjection::Http2 { connection } => connection.graceful_shutdown(),
            SpokenProjection::Unknown { opening } => *opening = None,
        }
    }
}

impl<IO: AsyncRead + Unpin, S> Opening<IO, S> {
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
pub(crate) struct Begun<IO> {
    io: IO,
    first: Vec<u8>,
    taken: usize,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Begun<IO> {
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

impl<IO: AsyncWrite + Unpin> AsyncWrite for Begun<IO> {
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
