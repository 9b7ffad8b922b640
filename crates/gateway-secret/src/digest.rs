//! What stands for a key once it has been presented.

use std::fmt;
use std::hash::{Hash, Hasher};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Secret;

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

/// Makes digests of keys: HMAC-SHA-256 (RFC 2104) under a pepper, which whoever steals the store does not have, or plain
/// SHA-256 without one.
#[derive(Clone, Default)]
pub struct KeyDigester {
    /// What every digest under the pepper begins with.
    keyed: Option<Hmac<Sha256>>,
}

impl KeyDigester {
    /// Digests under a pepper of any length. Keys that were digested under another, or under none, are no longer found.
    pub fn peppered(pepper: &Secret) -> Self {
        let keyed = Hmac::new_from_slice(pepper.expose().as_bytes());
        // HMAC takes a key of any length (RFC 2104, section 2).
        Self { keyed: Some(keyed.unwrap_or_else(|_| unreachable!())) }
    }

    /// The digest of a presented key.
    pub fn digest(&self, key: &[u8]) -> KeyDigest {
        let Some(mut keyed) = self.keyed.clone() else { return KeyDigest::of(key) };
        keyed.update(key);
        KeyDigest(keyed.finalize().into_bytes().into())
    }
}

impl fmt::Debug for KeyDigester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDigester").field("is_peppered", &self.keyed.is_some()).finish()
    }
}

impl KeyDigest {
    /// The digest that a store has kept.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As numbers, of which four take an eighth of the time to compare that 32 bytes take.
    fn lanes(&self) -> [u64; 4] {
        let (lanes, _) = self.0.as_chunks();
        std::array::from_fn(|lane| u64::from_ne_bytes(lanes[lane]))
    }

    /// The digest as a store keeps it.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.lanes().ct_eq(&other.lanes()).into()
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
    fn a_pepper_makes_other_digests() {
        // RFC 4231, section 4.3 (test case 2).
        let digest = KeyDigester::peppered(&Secret::from("Jefe")).digest(b"what do ya want for nothing?");
        assert_eq!(digest.as_bytes()[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
        assert_eq!(KeyDigester::default().digest(b"a"), KeyDigest::of(b"a"));
    }

    #[test]
    fn the_digest_is_sha_256() {
        // The first published test vector: SHA-256("abc"), FIPS 180-4 examples.
        let expected = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];
        assert_eq!(KeyDigest::of(b"abc").0[..8], expected);
    }
}
