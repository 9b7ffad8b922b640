//! Step 7: the answer on its way to the caller.
//!
//! The body is pulled by the caller's connection and pulls from the upstream's in turn: no task, no channel, and no more
//! in memory than the event or the read of the upstream's socket that is being passed on. It carries the call's [`Settlement`], so that the call settles when
//! the body ends or is dropped.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateway_call::Outcome;
use gateway_protocol::{Pieces, Segments};
use http_body::{Body, Frame, SizeHint};

use crate::clock::turn;
use crate::settle::Settlement;

mod events;
mod raw;
mod readiness;
mod scratch;

pub(crate) use events::{EventRelay, Judge};
pub(crate) use raw::RawRelay;

/// The body of an answer.
pub struct AnswerBody {
    content: Content,
    /// None for answers that are no calls, such as those to health checks.
    settlement: Option<Box<Settlement>>,
    /// How many bytes were handed to the connection. Told to the settlement at the end, which lies elsewhere in memory.
    bytes_out: u64,
}

/// Where the bytes of an answer come from.
pub(crate) enum Content {
    /// They are all here.
    Whole {
        /// The first piece, of most answers the only one.
        first: Bytes,
        /// The others, boxed because the body moves through every layer of the connection.
        rest: Option<Box<Pieces>>,
    },
    /// Frames of a stream, reframed as they pass.
    Events(Box<EventRelay>),
    /// The upstream's bytes, as they are.
    Raw(Box<RawRelay>),
}

impl Content {
    /// No bytes.
    pub(crate) const NONE: Self = Self::Whole { first: Bytes::new(), rest: None };

    /// The bytes of a body that is all here.
    pub(crate) fn whole(body: Segments) -> Self {
        let mut pieces = body.into_iter();
        let first = pieces.next().unwrap_or_default();
        let rest = (pieces.remaining() > 0).then(|| Box::new(pieces));
        Self::Whole { first, rest }
    }
}

impl From<Bytes> for Content {
    fn from(first: Bytes) -> Self {
        Self::Whole { first, rest: None }
    }
}

/// The next piece of an answer that is all here.
fn next_piece(first: &mut Bytes, rest: &mut Option<Box<Pieces>>) -> Option<Bytes> {
    let piece = std::mem::take(first);
    if piece.is_empty() { rest.as_mut()?.next() } else { Some(piece) }
}

/// How many bytes of it are left.
fn remaining(first: &Bytes, rest: Option<&Pieces>) -> u64 {
    first.len() as u64 + rest.map_or(0, Pieces::remaining)
}

/// The answer broke off where no protocol allows to say so; the connection has to be closed.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's answer broke off ({})", outcome.name())]
pub struct BrokenAnswer {
    outcome: Outcome,
}

impl BrokenAnswer {
    /// What happened.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl AnswerBody {
    /// A body from its content, and the account that it settles.
    pub(crate) fn new(content: Content, settlement: Option<Box<Settlement>>) -> Self {
        Self { content, settlement, bytes_out: 0 }
    }

    /// Leaves nothing to send; the account stays.
    pub(crate) fn leave_out(&mut self) {
        self.content = Content::NONE;
    }

    /// Whether the caller has everything that it will get.
    fn is_complete(&self) -> bool {
        match &self.content {
            Content::Whole { first, rest } => remaining(first, rest.as_deref()) == 0,
            Content::Events(relay) => relay.is_complete(),
            Content::Raw(relay) => relay.is_finished(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenAnswer;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenAnswer>>> {
        let this = self.get_mut();
        let mut settlement = this.settlement.as_deref_mut();
        turn(|| {
            let chunk = match &mut this.content {
                Content::Whole { first, rest } => Poll::Ready(next_piece(first, rest).map(Ok)),
                Content::Events(relay) => relay.poll_chunk(cx, settlement.as_deref_mut()).map(|chunk| chunk.map(Ok)),
                Content::Raw(relay) => relay.poll_chunk(cx, settlement.as_deref_mut()),
            };
            if let Poll::Ready(Some(Ok(bytes))) = &chunk {
                if this.bytes_out == 0
                    && !bytes.is_empty()
                    && let Some(settlement) = settlement
                {
                    settlement.note_first_byte();
                }
                this.bytes_out += bytes.len() as u64;
            }
            chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Events(relay) => relay.is_over(),
            _ => self.is_complete(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole { first, rest } => SizeHint::with_exact(remaining(first, rest.as_deref())),
            Content::Events(_) => SizeHint::default(),
            Content::Raw(relay) => relay.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    /// Dropped before its end, the body had a caller who left. However it went, what a stream has brought is known by now.
    fn drop(&mut self) {
        let is_complete = self.is_complete();
        let Some(settlement) = &mut self.settlement else { return };
        settlement.note_bytes(self.bytes_out);
        if let Content::Events(relay) = &self.content {
            settlement.measure(relay.measure());
        }
        if !is_complete {
            settlement.note_caller_left();
        }
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").field("size", &self.size_hint()).finish_non_exhaustive()
    }
}
