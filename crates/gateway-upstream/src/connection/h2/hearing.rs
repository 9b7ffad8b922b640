//! What was heard on a connection.
//!
//! Whether a dead connection may be replaced depends on whether the upstream had begun to answer, and hyper's errors do not
//! tell an answer cut in its head from none at all. So the socket counts what it delivers.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::socket::Socket;

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
    pub(super) async fn digested(&self) {
        self.digested.notified().await;
    }
}

/// A socket with a note of what it delivers.
#[derive(Debug)]
pub(super) struct HeardSocket {
    socket: Socket,
    hearing: Arc<Hearing>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Silent,
    Heard,
    Digested,
}

impl HeardSocket {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, hearing: Arc::default(), stage: Stage::Silent }
    }

    pub(super) fn hearing(&self) -> Arc<Hearing> {
        Arc::clone(&self.hearing)
    }
}

impl AsyncRead for HeardSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.stage == Stage::Heard {
            this.stage = Stage::Digested;
            this.hearing.digested.notify_one();
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
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

impl AsyncWrite for HeardSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
