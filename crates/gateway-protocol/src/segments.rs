//! A body in pieces.
//!
//! A spliced body is at most a few pieces, so they stand in the value itself. Small bodies are joined instead: copying
//! a few kilobytes costs less than writing them to a socket in pieces.

use std::{array, iter, vec};

use bytes::{Bytes, BytesMut};

/// Pieces kept without an allocation: an answer whose `model` and `gateway` change has six.
const INLINE: usize = 6;

/// Bodies up to this size, in bytes, are joined into one piece when they are made: a copy of 4 KiB takes about as long
/// as the bookkeeping of one more piece, and spares the socket a vectored write.
pub(crate) const JOIN_LIMIT: usize = 4096;

/// A body as an ordered run of pieces. Cloning copies no bytes.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    inline: [Bytes; INLINE],
    used: usize,
    rest: Vec<Bytes>,
    len: u64,
}

impl Segments {
    /// Length of the whole body, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a piece at the end; an empty one is left out.
    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.len += piece.len() as u64;
        match self.inline.get_mut(self.used) {
            Some(slot) => {
                *slot = piece;
                self.used += 1;
            }
            None => self.rest.push(piece),
        }
    }

    /// The whole body in one piece. Copies unless it is one already.
    pub fn into_bytes(self) -> Bytes {
        if self.used <= 1 {
            return self.into_iter().next().unwrap_or_default();
        }
        let mut joined = BytesMut::with_capacity(usize::try_from(self.len).unwrap_or_default());
        self.into_iter().for_each(|piece| joined.extend_from_slice(&piece));
        joined.freeze()
    }
}

impl From<Bytes> for Segments {
    fn from(body: Bytes) -> Self {
        let mut segments = Self::default();
        segments.push(body);
        segments
    }
}

impl FromIterator<Bytes> for Segments {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut segments = Self::default();
        pieces.into_iter().for_each(|piece| segments.push(piece));
        segments
    }
}

/// The pieces of a body in order, none of them empty; made by `Segments::into_iter`.
#[derive(Debug, Clone)]
pub struct Pieces {
    pieces: iter::Chain<iter::Take<array::IntoIter<Bytes, INLINE>>, vec::IntoIter<Bytes>>,
    remaining: u64,
}

impl Pieces {
    /// Bytes of the pieces that are still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let piece = self.pieces.next()?;
        self.remaining -= piece.len() as u64;
        Some(piece)
    }
}

impl IntoIterator for Segments {
    type Item = Bytes;
    type IntoIter = Pieces;

    fn into_iter(self) -> Pieces {
        let remaining = self.len;
        Pieces { pieces: self.inline.into_iter().take(self.used).chain(self.rest), remaining }
    }
}
