//! Where a thread puts what its connections read.
//!
//! What is read of a stream is passed on at once, as a rule, so the memory of one frame can be that of the next, whichever stream
//! brings it. With memory of its own for each of 500 streams, none of it is in the processor's cache when its turn comes.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};

/// How much a thread keeps, in bytes. Whoever holds on to a frame holds on to all of it.
const ROOM: usize = 8 * 1024;

/// What is larger is neither a frame nor most plain answers, and gets memory of its own.
const MOST: usize = ROOM / 2;

thread_local! {
    static FREE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// A copy of what was read.
pub(super) fn keep(read: &[u8]) -> Bytes {
    if read.len() > MOST {
        return Bytes::copy_from_slice(read);
    }
    let mut free = FREE.take().unwrap_or_default();
    if free.capacity() < read.len() {
        // The same memory, once nobody has a part of it any more.
        free.reserve(ROOM);
    }
    free.extend_from_slice(read);
    let kept = free.split().freeze();
    FREE.set(Some(free));
    kept
}
