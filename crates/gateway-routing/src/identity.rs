//! A hash that every gateway computes alike.
//!
//! Affinity is worth something only if all nodes of a fleet, and the release after this one, send a conversation to the
//! same target. The standard library's hashers promise neither: their algorithm may change with the compiler. This one
//! is written out, and tests pin its values. It is no defence against chosen input; whoever chooses a key chooses among
//! targets that could have served the call anyway, and the bounded load of affinity keeps them from crowding one.

/// The offset basis of 64-bit FNV-1a (Fowler, Noll, Vo; RFC 9923).
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// The prime of 64-bit FNV-1a.
const PRIME: u64 = 0x0100_0000_01b3;

/// What no UTF-8 text contains, so that it can stand between two of them.
const SEPARATOR: u8 = 0xff;

/// FNV-1a with a finaliser, over bytes that arrive in pieces.
///
/// Where one piece ends and the next begins makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StableHasher(u64);

impl StableHasher {
    /// A hash of nothing yet.
    pub const fn new() -> Self {
        Self(OFFSET_BASIS)
    }

    /// Takes in more bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(PRIME));
    }

    /// The hash of all bytes so far.
    pub const fn finish(&self) -> u64 {
        mix(self.0)
    }
}

impl Default for StableHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Who a target is, for [`Target::identity`](crate::Target::identity): the same on every node and in every release.
///
/// `parts` are what tells one target from another, such as the provider's name and its name for the model. Where one part
/// ends matters: `["ab", "c"]` and `["a", "bc"]` differ.
pub fn identity(parts: &[&str]) -> u64 {
    let mut hasher = StableHasher::new();
    for part in parts {
        hasher.write(part.as_bytes());
        hasher.write(&[SEPARATOR]);
    }
    hasher.finish()
}

/// Spreads a difference in any bit over all bits, which FNV-1a does not do for the last bytes that it sees. A bijection:
/// the finaliser of `SplitMix64` (Steele, Lea, Flood 2014; the constants are David Stafford's variant 13).
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_values_never_change() {
        // Computed by another implementation. A change here moves every conversation to another target.
        let golden: [(&[&str], u64); 5] = [
            (&[], 0xf52a_15e9_a9b5_e89b),
            (&["openai"], 0xabee_d449_13ae_3c19),
            (&["openai", "gpt-4o"], 0x2b6c_7fc5_b101_106b),
            (&["openaig", "pt-4o"], 0x41db_717c_582d_4e63),
            (&["azure-eu", "gpt-4o-2024-11-20"], 0xda6e_f5af_41f4_82a4),
        ];
        for (parts, expected) in golden {
            assert_eq!(identity(parts), expected, "{parts:?}");
        }
        let mut hasher = StableHasher::new();
        hasher.write(b"session-1");
        assert_eq!(hasher.finish(), 0x8f9d_4a83_e238_4785);
    }

    #[test]
    fn the_state_is_fnv_1a() {
        // Test vectors of the reference implementation.
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            let mut hasher = StableHasher::new();
            hasher.write(text.as_bytes());
            assert_eq!(hasher.0, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(bytes: Vec<u8>, cut in any::<prop::sample::Index>()) {
            let (left, right) = bytes.split_at(cut.index(bytes.len() + 1));
            let (mut whole, mut pieces) = (StableHasher::new(), StableHasher::new());
            whole.write(&bytes);
            pieces.write(left);
            pieces.write(right);
            prop_assert_eq!(whole.finish(), pieces.finish());
        }

        #[test]
        fn different_parts_are_different_targets(left: Vec<String>, right: Vec<String>) {
            fn of(parts: &[String]) -> u64 {
                identity(&parts.iter().map(String::as_str).collect::<Vec<_>>())
            }
            prop_assert_eq!(of(&left) == of(&right), left == right);
        }
    }
}
