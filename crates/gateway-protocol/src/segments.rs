//! A body in pieces.
//!
//! Small bodies are joined when they are made: copying a few kilobytes costs less than writing them to a socket in pieces. So
//! nearly every body is one piece, which stands in the value itself, and the value is small, because it is moved from hand to
//! hand. The pieces of a large one are in a list of their own.

use std::{mem, vec};

use bytes::{Bytes, BytesMut};

/// Bodies up to this size, in bytes, are joined into one piece when they are made: a copy of 4 KiB takes about as long
/// as the bookkeeping of one more piece, and spares the socket a vectored write.
pub(crate) const JOIN_LIMIT: usize = 4096;

/// A body as an ordered run of pieces. Cloning copies no bytes.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    /// Empty only if the body is.
    first: Bytes,
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
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.rest.push(piece);
        }
    }

    /// The whole body in one piece. Copies unless it is one already.
    pub fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut joined = BytesMut::with_capacity(usize::try_from(self.len).unwrap_or_default());
        self.into_iter().for_each(|piece| joined.extend_from_slice(&piece));
        joined.freeze()
    }
}

impl From<Bytes> for Segments {
    fn from(body: Bytes) -> Self {
        Self { len: body.len() as u64, first: body, rest: Vec::new() }
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
    /// Empty once it was handed out.
    first: Bytes,
    rest: vec::IntoIter<Bytes>,
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
        let piece = if self.first.is_empty() { self.rest.next()? } else { mem::take(&mut self.first) };
        self.remaining -= piece.len() as u64;
        Some(piece)
    }
}

impl IntoIterator for Segments {
    type Item = Bytes;
    type IntoIter = Pieces;

    fn into_iter(self) -> Pieces {
        Pieces { first: self.first, rest: self.rest.into_iter(), remaining: self.len }
    }
}
