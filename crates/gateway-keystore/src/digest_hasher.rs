//! How keys are found by their digest.

use std::hash::Hasher;

/// Takes a digest's first eight bytes for its hash: they are as good as random, and what a caller presents has been
/// digested before it comes here.
#[derive(Debug, Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length that precedes a slice says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
