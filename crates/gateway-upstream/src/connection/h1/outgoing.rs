//! A request on its way out.
//!
//! The head and all that is known of the body leave in one write, from where they lie. A body that streams is asked for
//! more when what it gave before was taken.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderValue, Request};
use http_body::Body;
use tokio::io::{AsyncWrite, ReadBuf};

use super::head::{Length, write_head};
use crate::RequestBody;
use crate::socket::Socket;

/// Pieces that are gathered for one write: more than a head and the slices of a usual body.
const PIECES: usize = 5;

/// Pieces of so many bytes together are written as one: to copy them is cheaper than what the system does for each write of several.
const JOINED: usize = 4096;

/// What keeps a request from being sent whole.
#[derive(Debug)]
pub(super) enum SendFault {
    /// The source of its body failed, or was not as long as it said.
    Source,
    /// The connection takes no more.
    Io(io::Error),
}

/// A request that is being sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// What is to be written next; the empty ones have been.
    pieces: [Bytes; PIECES],
    /// None once it was sent whole.
    body: Option<RequestBody>,
    is_gathered: bool,
    length: Length,
    /// Bytes of a body of exact length that are still to come.
    left: u64,
    has_written: bool,
}

impl Outgoing {
    /// Takes over a request's body, or a copy of one that can be sent again; the head is written into `room`.
    pub(super) fn new(request: &mut Request<RequestBody>, host: &HeaderValue, room: &mut BytesMut) -> Self {
        let (length, left) = match (request.body().is_end_stream(), request.body().size_hint().exact()) {
            (true, _) => (Length::None, 0),
            (false, Some(exact)) => (Length::Exact(exact), exact),
            (false, None) => (Length::Chunked, 0),
        };
        let mut pieces = [const { Bytes::new() }; PIECES];
        write_head(room, request, host, length);
        pieces[0] = room.split().freeze();
        let body = request.body().try_clone().unwrap_or_else(|| std::mem::take(request.body_mut()));
        Self { pieces, body: Some(body), is_gathered: false, length, left, has_written: false }
    }

    /// Whether the connection has not taken a byte of it.
    pub(super) fn is_untouched(&self) -> bool {
        !self.has_written
    }

    /// The body that streams, of a request that is untouched: it has not been asked for anything yet. Of a copy a part may have been
    /// gathered already, so that is not given back.
    pub(super) fn give_back(&mut self) -> Option<RequestBody> {
        self.body.take_if(|body| !self.has_written && body.is_streaming())
    }

    /// Sends as much as can be sent now; ready when that was all.
    pub(super) fn poll_send(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), SendFault>> {
        loop {
            let gathered = self.gather(cx)?;
            if self.pieces.iter().all(Bytes::is_empty) {
                ready!(Pin::new(&mut *socket).poll_flush(cx)).map_err(SendFault::Io)?;
                ready!(gathered);
                self.body = None;
                return Poll::Ready(Ok(()));
            }
            let written = ready!(self.poll_write(socket, cx));
            match written.map_err(SendFault::Io)? {
                0 => return Poll::Ready(Err(SendFault::Io(io::ErrorKind::WriteZero.into()))),
                written => self.advance(written),
            }
        }
    }

    /// Writes what was gathered; little of it in one piece, which is cheaper to copy than to have the system gather it again.
    fn poll_write(&self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.pieces.iter().map(Bytes::len).sum::<usize>() <= JOINED {
            let mut space = [MaybeUninit::uninit(); JOINED];
            let mut joined = ReadBuf::uninit(&mut space);
            for piece in &self.pieces {
                joined.put_slice(piece);
            }
            return Pin::new(socket).poll_write(cx, joined.filled());
        }
        let slices = self.pieces.each_ref().map(|piece| IoSlice::new(piece));
        Pin::new(socket).poll_write_vectored(cx, &slices)
    }

    fn advance(&mut self, mut written: usize) {
        self.has_written = true;
        for piece in &mut self.pieces {
            let taken = piece.len().min(written);
            piece.advance(taken);
            written -= taken;
        }
    }

    /// Adds what there is of the body, while there is room for it; ready when there is nothing more to add.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, SendFault> {
        while !self.is_gathered {
            let Some(body) = &mut self.body else { break };
            let used = self.pieces.iter().rposition(|piece| !piece.is_empty()).map_or(0, |last| last + 1);
            // A body that streams is asked only behind a head that was taken, so that it can go elsewhere until then.
            if used + self.length.pieces_of_a_part() > PIECES || (used > 0 && body.is_streaming()) {
                return Ok(Poll::Pending);
            }
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Some(Err(_))) => return Err(SendFault::Source),
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are nobody's business but the caller's.
                    if let Some(data) = frame.into_data().ok().filter(|data| !data.is_empty()) {
                        self.add(used, data)?;
                    }
                }
                Poll::Ready(None) => {
                    self.end(used)?;
                    self.is_gathered = true;
                }
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Adds a part of the body behind so many pieces.
    fn add(&mut self, used: usize, data: Bytes) -> Result<(), SendFault> {
        if self.length == Length::Chunked {
            let size = Bytes::from(format!("{:x}\r\n", data.len()));
            self.pieces[used..used + 3].clone_from_slice(&[size, data, Bytes::from_static(b"\r\n")]);
            return Ok(());
        }
        self.left = self.left.checked_sub(data.len() as u64).ok_or(SendFault::Source)?;
        self.pieces[used] = data;
        Ok(())
    }

    fn end(&mut self, used: usize) -> Result<(), SendFault> {
        if self.left > 0 {
            return Err(SendFault::Source);
        }
        if self.length == Length::Chunked {
            self.pieces[used] = Bytes::from_static(b"0\r\n\r\n");
        }
        Ok(())
    }
}
