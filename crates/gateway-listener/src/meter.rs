//! What the socket takes. Measured below TLS, which holds back as much as it likes before it is blocked itself.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::activity::Activity;

/// Slices of so many bytes together are written as one: to copy them is cheaper than what the system does for each write of
/// several, which is half a microsecond.
const JOINED: usize = 4096;

/// A socket that notes when it is blocked: the peer, or the way to it, takes nothing of what is to be written.
#[derive(Debug)]
pub(crate) struct MeteredSocket<IO> {
    io: IO,
    activity: Arc<Activity>,
    is_blocked: bool,
}

impl<IO> MeteredSocket<IO> {
    pub(crate) fn new(io: IO, activity: Arc<Activity>) -> Self {
        Self { io, activity, is_blocked: false }
    }

    /// Notes what came of a write. Whoever writes goes on until all is taken or nothing more is.
    fn note(&mut self, written: &Poll<io::Result<usize>>) {
        // The usual write finds the socket free and leaves it so; a blocked one that is tried in vain is no news.
        if written.is_pending() == self.is_blocked {
            return;
        }
        self.is_blocked = !self.is_blocked;
        if self.is_blocked {
            self.activity.block();
        } else {
            self.activity.unblock();
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for MeteredSocket<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for MeteredSocket<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = if slices.iter().map(|slice| slice.len()).sum::<usize>() <= JOINED {
            let mut space = [MaybeUninit::uninit(); JOINED];
            let mut joined = ReadBuf::uninit(&mut space);
            for slice in slices {
                joined.put_slice(slice);
            }
            Pin::new(&mut self.io).poll_write(cx, joined.filled())
        } else {
            Pin::new(&mut self.io).poll_write_vectored(cx, slices)
        };
        self.note(&written);
        written
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
