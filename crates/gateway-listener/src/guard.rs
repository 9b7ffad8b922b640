//! One meaning for every HTTP/1 request, before hyper sees it.
//!
//! hyper 1.12 takes a head with both `Content-Length` and `Transfer-Encoding` (it drops the length), and one with
//! several equal lengths; by the time a service is called neither can be seen any more. A proxy in front of us may have
//! read such a message the other way, and then disagrees about where the next request begins: request smuggling
//! (RFC 9112 section 11.2). So the bytes themselves are followed here, and what is not plain is refused.
//!
//! The guard buffers nothing and allocates nothing. In place of the first offending byte hyper is handed [`POISON`],
//! which no head can contain; it answers 400 and closes, and the request reaches no service. In a body there is no such
//! byte, so there the read fails. A head beyond the limit is cut there, and hyper answers 431: by itself it would go by its buffer, which may
//! hold more where much was read at once. After an HTTP/2 preface the guard steps aside: frames have one meaning.

mod chunked;
mod framing;
mod head;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::framing::PREFACE;
use self::framing::{Framing, Refusal};
use crate::activity::{Activity, Phase};

/// NUL is refused by hyper wherever it stands in a head; the empty line after it makes hyper look at once.
const POISON: &[u8] = b"\0\r\n\r\n";

/// How much is read at once from a peer that will not be answered any more.
const DISCARD: usize = 4096;

/// An HTTP/1 or HTTP/2 server connection on which every request has one meaning.
#[derive(Debug)]
pub(crate) struct RequestGuard<IO> {
    io: IO,
    activity: Arc<Activity>,
    framing: Framing,
    phase: Phase,
    verdict: Verdict,
    peer_is_done: bool,
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Plain,
    /// A head was refused; this many bytes of the poison have been handed over.
    Poisoned(usize),
    /// A body was refused, or a head is too large; nothing more is passed on.
    Broken,
}

impl<IO> RequestGuard<IO> {
    /// A guard over a connection whose heads may have so many bytes.
    pub(crate) fn new(io: IO, activity: Arc<Activity>, max_head: usize) -> Self {
        let framing = Framing::new(max_head);
        Self { io, activity, framing, phase: Phase::Fresh, verdict: Verdict::Plain, peer_is_done: false }
    }

    /// Follows what was read into `buf` behind its first `before` bytes, and takes back what must not be seen.
    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let fresh = &buf.filled()[before..];
        self.peer_is_done = fresh.is_empty();
        match self.framing.advance(fresh) {
            Ok(()) => {}
            Err(Refusal::Head { at }) => {
                buf.set_filled(before + at);
                self.verdict = Verdict::Poisoned(pour_poison(buf, 0));
            }
            // Of a head that is too large hyper gets as much as it takes, and says so.
            Err(Refusal::Large { at } | Refusal::Body { at }) => {
                buf.set_filled(before + at);
                self.verdict = Verdict::Broken;
            }
        }
        self.enter(self.framing.phase());
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.activity.enter(phase);
        }
    }

    /// Whether the peer may still be sending what nobody will read.
    fn must_linger(&self) -> bool {
        let refused = !matches!(self.verdict, Verdict::Plain);
        !self.peer_is_done && (refused || !self.framing.is_between_messages())
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for RequestGuard<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.verdict {
            Verdict::Plain => {}
            Verdict::Poisoned(poured) => {
                self.verdict = Verdict::Poisoned(pour_poison(buf, poured));
                return Poll::Ready(Ok(()));
            }
            Verdict::Broken => return Poll::Ready(Err(refused_body())),
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.inspect(buf, before);
        // An empty read would say that the peer is done, and that is not what happened.
        if matches!(self.verdict, Verdict::Broken) && buf.filled().len() == before {
            return Poll::Ready(Err(refused_body()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for RequestGuard<IO> {
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

    /// Closes our side. If the peer is in the middle of a message its bytes are then read and dropped until it is done:
    /// closing a socket with unread bytes resets it, and the peer would lose the answer that says why. The supervisor
    /// bounds the time.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase != Phase::Lingering {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            if !self.must_linger() {
                return Poll::Ready(Ok(()));
            }
            self.enter(Phase::Lingering);
        }
        loop {
            let mut space = [0; DISCARD];
            let mut discarded = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut discarded))?;
            if discarded.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Appends what fits of the poison behind its first `poured` bytes; returns how many have been poured in all.
fn pour_poison(buf: &mut ReadBuf<'_>, poured: usize) -> usize {
    let rest = &POISON[poured..];
    let portion = rest.len().min(buf.remaining());
    buf.put_slice(&rest[..portion]);
    poured + portion
}

fn refused_body() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the chunked framing of the request body is broken")
}
