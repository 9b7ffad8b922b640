//! What stands for a key once it has been presented.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of a key (FIPS 180-4). Equality takes the same time wherever two digests differ.
///
/// Keys have 256 random bits, so a plain digest is enough at rest; a slow password hash would only slow down the
/// gateway.
#[derive(Clone, Copy)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a presented key.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyDigest {}

impl Hash for KeyDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_tell_keys_apart_and_show_nothing() {
        assert_eq!(KeyDigest::of(b"a"), KeyDigest::of(b"a"));
        assert_ne!(KeyDigest::of(b"a"), KeyDigest::of(b"b"));
        assert_eq!(format!("{:?}", KeyDigest::of(b"a")), "KeyDigest(…)");
    }

    #[test]
    fn the_digest_is_sha_256() {
        // The first published test vector: SHA-256("abc"), FIPS 180-4 examples.
        let expected = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];
        assert_eq!(KeyDigest::of(b"abc").0[..8], expected);
    }
}
