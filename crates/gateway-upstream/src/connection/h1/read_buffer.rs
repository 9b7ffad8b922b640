//! Where a thread puts what its connections read.
//!
//! What is read of a stream is passed on at once, as a rule, so the memory of one frame can be that of the next, whichever stream
//! brings it. With memory of its own for each of 500 streams, none of it is in the processor's cache when its turn comes.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};

/// How much a thread keeps, in bytes. Whoever holds on to a frame, or to a field of a head, holds on to all of it.
const SIZE: usize = 8 * 1024;

/// What is larger is neither a frame nor most plain answers, and gets memory of its own.
const MOST: usize = SIZE / 2;

thread_local! {
    static FREE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// A copy of what was read.
pub(super) fn copy_of(read: &[u8]) -> Bytes {
    if read.len() > MOST {
        return Bytes::copy_from_slice(read);
    }
    let mut free = FREE.take().unwrap_or_else(|| BytesMut::with_capacity(SIZE));
    if free.capacity() < read.len() {
        // The same memory, once nobody has a part of it any more.
        free.reserve(SIZE);
    }
    free.extend_from_slice(read);
    let copy = free.split().freeze();
    FREE.set(Some(free));
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_nobody_has_a_part_of_it() {
        let first = copy_of(&[1; MOST]).as_ptr();
        drop(copy_of(&[2; MOST]));
        let held = copy_of(&[3; MOST]);
        assert_eq!(held.as_ptr(), first);
        let others: Vec<_> = (0..4).map(|_| copy_of(&[4; MOST])).collect();
        assert!(others.iter().all(|other| *other == [4; MOST][..]) && held == [3; MOST][..]);
    }
}
