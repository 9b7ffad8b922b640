//! The byte stream below HTTP: TCP or TLS over TCP, with a note of what was heard.
//!
//! Whether a dead connection may be replaced depends on whether the upstream had begun to answer, and hyper's errors
//! do not tell an answer cut in its head from none at all. So the socket counts what it delivers.

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
    /// The peer takes no more bytes. It may still have said something, which is to be read first.
    is_hung_up: bool,
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
        Self { io, hearing: Arc::default(), stage: Stage::Silent, is_hung_up: false }
    }

    pub(crate) fn hearing(&self) -> Arc<Hearing> {
        Arc::clone(&self.hearing)
    }

    /// Takes a write to a peer that has hung up for done.
    ///
    /// An upstream that refuses a large upload answers and closes. The write fails then, and hyper would give up on the
    /// connection before it has read the answer. Reading tells the truth soon enough: the answer, or the error.
    fn bear(&mut self, written: io::Result<usize>, len: usize) -> io::Result<usize> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match written {
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset) => {
                self.is_hung_up = true;
                Ok(len)
            }
            written => written,
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
        if this.is_hung_up {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = ready!(match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls(io) => Pin::new(io).poll_write(cx, buf),
        });
        Poll::Ready(this.bear(written, buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if this.is_hung_up {
            return Poll::Ready(Ok(len));
        }
        let written = ready!(match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Io::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        });
        Poll::Ready(this.bear(written, len))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_hung_up {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(match &mut this.io {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io).poll_flush(cx),
        });
        Poll::Ready(this.bear(flushed.map(|()| 0), 0).map(drop))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
