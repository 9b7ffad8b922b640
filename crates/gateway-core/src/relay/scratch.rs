//! Where a thread writes the events that its streams pass on.
//!
//! An event leaves at once, as a rule, so the next one can be written where it was, whichever stream it belongs to. With memory of
//! its own for each of 500 streams, none of it is in the processor's cache when its turn comes.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};

/// How much a thread keeps, in bytes; twice that where an event did not fit behind the one before. A caller who does not take an
/// event holds on to all of it; of a caller who takes nothing, hyper asks for 16 events at most over HTTP/1 (`MAX_BUF_LIST_BUFFERS`),
/// so that is 128 KiB a stream in the worst case, and 64 as a rule.
const SIZE: usize = 4 * 1024;

thread_local! {
    static FREE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// Memory to write into.
pub(super) fn take() -> BytesMut {
    FREE.take().unwrap_or_else(|| BytesMut::with_capacity(SIZE))
}

/// Gives back what is left of it behind what was written. Memory that has grown beyond twice its size is not kept, whether all that
/// made it grow has left or was taken back.
pub(super) fn put_back(rest: BytesMut, written: Option<&Bytes>) {
    if rest.capacity() <= 2 * SIZE && written.is_none_or(|chunk| chunk.len() <= SIZE) {
        FREE.set(Some(rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(len: usize) -> Bytes {
        let mut buffer = take();
        buffer.extend_from_slice(&vec![1; len]);
        let chunk = buffer.split().freeze();
        put_back(buffer, Some(&chunk));
        chunk
    }

    #[test]
    fn memory_is_used_again_once_nobody_has_a_part_of_it() {
        let first = write(SIZE).as_ptr();
        assert_eq!(write(SIZE).as_ptr(), first);
        let held = write(SIZE / 2);
        let other = write(SIZE);
        assert_ne!(other.as_ptr(), held.as_ptr());
        assert!(held.iter().all(|byte| *byte == 1));
    }

    #[test]
    fn what_has_grown_is_not_kept() {
        drop(write(2 * SIZE));
        assert_eq!(take().capacity(), SIZE);
        for rest in [0, 100] {
            let mut buffer = take();
            buffer.extend_from_slice(&vec![1; 1 << 20]);
            buffer.truncate(rest);
            let chunk = buffer.split().freeze();
            put_back(buffer, Some(&chunk).filter(|chunk| !chunk.is_empty()));
            assert_eq!(take().capacity(), SIZE);
        }
    }
}
