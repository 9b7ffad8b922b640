//! The byte stream below HTTP: TCP or TLS over TCP, with a note of what was heard.
//!
//! Whether a dead connection may be replaced depends on whether the upstream had begun to answer, and hyper's errors
//! do not tell an answer cut in its head from none at all. So the socket counts what it delivers.
//!
//! An HTTP/1 upstream that refuses a large upload answers and closes, and the upload may be the first to notice. hyper
//! would give up on the connection then and leave the answer unread. So a write to a peer that has hung up never ends:
//! the upload stands still, and reading, which goes on, tells the truth at once, the answer or the end. It must not
//! succeed instead, as hyper writes for as long as it can, and reads only then. HTTP/2 resets the one stream (RFC 9113,
//! section 8.1) and sends before it reads, so there a failed write is a failure.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::client::TlsStream;

/// What was heard on a connection so far.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    received: AtomicU64,
    digested: Notify,
}

impl Hearing {
    /// Bytes delivered to HTTP, below which lies TLS.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// Waits until HTTP asks for more after the first bytes it got, which means that it has acted on those.
    pub(crate) async fn digested(&self) {
        self.digested.notified().await;
    }
}

/// A connected byte stream.
#[derive(Debug)]
pub(crate) struct Socket {
    io: Io,
    hearing: Arc<Hearing>,
    stage: Stage,
    writing: Writing,
}

/// What becomes of writes to a peer that takes no more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// They fail.
    Fails,
    /// They wait, because the peer may have said something that is to be read first.
    Waits,
    /// They wait now.
    HungUp,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    // Boxed: a TLS stream is over a kilobyte, and the connection's task is moved before it is spawned.
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Silent,
    Heard,
    Digested,
}

impl Socket {
    pub(crate) fn plain(io: TcpStream) -> Self {
        Self::new(Io::Plain(io))
    }

    pub(crate) fn tls(io: TlsStream<TcpStream>) -> Self {
        Self::new(Io::Tls(Box::new(io)))
    }

    fn new(io: Io) -> Self {
        Self { io, hearing: Arc::default(), stage: Stage::Silent, writing: Writing::Fails }
    }

    pub(crate) fn hearing(&self) -> Arc<Hearing> {
        Arc::clone(&self.hearing)
    }

    /// The same socket, which reads on when the peer has hung up on a write. The reader has to be in the task of the
    /// writer, since it is reading alone that wakes that task.
    pub(crate) fn read_on_hang_up(mut self) -> Self {
        self.writing = Writing::Waits;
        self
    }

    fn outlive<T>(&mut self, written: io::Result<T>) -> Poll<io::Result<T>> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match written {
            Err(error)
                if self.writing == Writing::Waits
                    && matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset) =>
            {
                self.writing = Writing::HungUp;
                Poll::Pending
            }
            written => Poll::Ready(written),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.stage == Stage::Heard {
            this.stage = Stage::Digested;
            this.hearing.digested.notify_one();
        }
        let before = buf.filled().len();
        ready!(match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_read(cx, buf),
        })?;
        let read = buf.filled().len() - before;
        if read > 0 {
            this.hearing.received.fetch_add(read as u64, Ordering::Release);
            if this.stage == Stage::Silent {
                this.stage = Stage::Heard;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.writing == Writing::HungUp {
            return Poll::Pending;
        }
        let written = ready!(match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_write(cx, buf),
        });
        this.outlive(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.writing == Writing::HungUp {
            return Poll::Pending;
        }
        let written = ready!(match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Io::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        });
        this.outlive(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.writing == Writing::HungUp {
            return Poll::Pending;
        }
        let flushed = ready!(match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
        });
        this.outlive(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
