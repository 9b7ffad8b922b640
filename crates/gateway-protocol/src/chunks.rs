//! A body that arrives in parts of any size, kept until it is looked at.

use std::mem;

use bytes::{Bytes, BytesMut};

/// Parts of at least this size, in bytes, are kept as they are. Smaller ones are copied together, because each part that
/// is kept costs a handle and holds on to the whole buffer that it was read into.
const LARGE: usize = 16 * 1024;

/// The parts of a body in order, few of them small.
#[derive(Debug, Default)]
pub struct Chunks {
    whole: Vec<Bytes>,
    small: BytesMut,
}

impl Chunks {
    /// Adds the next part.
    pub fn push(&mut self, part: Bytes) {
        if part.len() < LARGE {
            self.small.extend_from_slice(&part);
            if self.small.len() >= LARGE {
                self.whole.push(self.small.split().freeze());
            }
            return;
        }
        if !self.small.is_empty() {
            self.whole.push(mem::take(&mut self.small).freeze());
        }
        self.whole.push(part);
    }

    /// All parts, in order.
    pub fn into_parts(mut self) -> Vec<Bytes> {
        if !self.small.is_empty() {
            self.whole.push(self.small.freeze());
        }
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_keep_their_order_and_crumbs_are_joined(sizes in prop::collection::vec(prop_oneof![0_usize..50, 10_000_usize..40_000], 0..40)) {
            let parts: Vec<Bytes> = (0_u8..).zip(&sizes).map(|(fill, size)| Bytes::from(vec![fill; *size])).collect();
            let mut chunks = Chunks::default();
            for part in &parts {
                chunks.push(part.clone());
            }
            let kept = chunks.into_parts();
            prop_assert_eq!(kept.concat(), parts.concat());
            let small = kept.iter().filter(|part| part.len() < LARGE).count();
            let large = parts.iter().filter(|part| part.len() >= LARGE).count();
            prop_assert!(small <= large + 1, "a small part stands only before a large one or at the end");
        }
    }
}
