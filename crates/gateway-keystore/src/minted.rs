//! Keys that the gateway makes, and how much of a key may be shown.
//!
//! A made key ends in a checksum, so that one which was mistyped or cut off can be told from one which was never given
//! out, without asking anybody. The checksum is no secret and proves nothing: only the digest does.

use gateway_secret::Secret;

/// What every made key begins with, so that people and scanners for leaked secrets know it when they see it.
const PREFIX: &str = "sk-gw-";
/// Base62 digits that hold 256 bits: 62^43 is just above 2^256.
const RANDOM_DIGITS: usize = 43;
/// Base62 digits that hold the 32 bits of the checksum.
const CHECKSUM_DIGITS: usize = 6;
/// What every made identifier begins with.
const ID_PREFIX: &str = "key_";
/// Base62 digits that hold 128 bits.
const ID_DIGITS: usize = 22;
/// Below this a key could be guessed, in characters.
const STRONG_KEY: usize = 16;
/// The most characters that are shown of a key that was not made here.
const MOST_SHOWN: usize = 6;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that was just made, to be shown once.
#[derive(Debug, Clone)]
pub struct MintedKey {
    /// The key.
    pub secret: Secret,
}

impl MintedKey {
    /// Makes a key of 256 random bits: `sk-gw-`, 43 characters that hold them, and 6 of a checksum over all that precedes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        // Of its final size from the start, so that no copy of it is left behind by growing.
        let mut key = String::with_capacity(PREFIX.len() + RANDOM_DIGITS + CHECKSUM_DIGITS);
        key.push_str(PREFIX);
        push_base62(&mut key, bytes, RANDOM_DIGITS);
        let checksum = crc32(key.as_bytes());
        push_base62(&mut key, checksum.to_be_bytes(), CHECKSUM_DIGITS);
        Self { secret: Secret::from(key) }
    }

    /// Whether a text that has the form of a made key has the right checksum; none if it does not have that form.
    pub fn has_valid_checksum(text: &str) -> Option<bool> {
        let digits = text.strip_prefix(PREFIX)?;
        if digits.len() != RANDOM_DIGITS + CHECKSUM_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let (key, found) = text.split_at(PREFIX.len() + RANDOM_DIGITS);
        let mut expected = String::with_capacity(CHECKSUM_DIGITS);
        push_base62(&mut expected, crc32(key.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS);
        Some(found == expected)
    }
}

/// An identifier for a key, of 128 random bits.
pub fn key_id(random: [u8; 16]) -> String {
    let mut id = String::with_capacity(ID_PREFIX.len() + ID_DIGITS);
    id.push_str(ID_PREFIX);
    push_base62(&mut id, random, ID_DIGITS);
    id
}

/// Whether a key is so short, under 16 characters, that it could be guessed.
pub fn is_weak(key: &str) -> bool {
    key.chars().count() < STRONG_KEY
}

/// What may be shown of a key, such as `sk-gw-AbC…xyz`.
///
/// Of a made key, these are three of its 43 random characters and three of its checksum. Of any other, they are at most
/// six characters and never more than a quarter of it; of a weak one, none.
pub fn preview(key: &str) -> String {
    let is_made = MintedKey::has_valid_checksum(key) == Some(true);
    let length = key.chars().count();
    let (first, last) = match length {
        _ if is_made => (PREFIX.len() + 3, 3),
        0..STRONG_KEY => (0, 0),
        _ => {
            let shown = MOST_SHOWN.min(length / 4);
            (shown.div_ceil(2), shown / 2)
        }
    };
    let start: String = key.chars().take(first).collect();
    let end: String = key.chars().skip(length - last).collect();
    format!("{start}…{end}")
}

/// Appends a number, given with its highest byte first, in base 62: exactly `width` digits, which have to be enough.
fn push_base62<const N: usize>(text: &mut String, mut number: [u8; N], width: usize) {
    let end = text.len();
    for _ in 0..width {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder << 8 | u32::from(*byte);
            // The remainder before was at most 61, so the quotient is at most (61 * 256 + 255) / 62 = 255.
            *byte = (value / 62).to_le_bytes()[0];
            remainder = value % 62;
        }
        // Digits come lowest first, so each goes before those that are there.
        text.insert(end, char::from(DIGITS[remainder as usize]));
    }
}

/// CRC-32 as in ISO/IEC 3309 and zlib. Bit by bit: it is asked for 49 bytes, and never on the path of a good call.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |crc: u32, _| if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xEDB8_8320 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_crc_32() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn numbers_are_written_in_base_62() {
        let written = |number: u32| {
            let mut text = "-".to_owned();
            push_base62(&mut text, number.to_be_bytes(), 6);
            text
        };
        assert_eq!(written(0), "-000000");
        assert_eq!(written(61), "-00000z");
        assert_eq!(written(62), "-000010");
        assert_eq!(u64::from(u32::MAX), [4, 42, 41, 15, 12, 3].iter().fold(0_u64, |sum, digit| sum * 62 + digit));
        assert_eq!(written(u32::MAX), "-4gfFC3");
    }

    #[test]
    fn made_keys_have_their_form() {
        let lowest = MintedKey::from_random([0; 32]);
        assert!(lowest.secret.expose().starts_with(&format!("sk-gw-{}", "0".repeat(43))));
        let highest = MintedKey::from_random([0xFF; 32]);
        assert_eq!(highest.secret.expose().len(), 55);
        assert_eq!(preview(lowest.secret.expose()).chars().count(), "sk-gw-AbC…xyz".chars().count());
        assert_eq!(key_id([0xFF; 16]).len(), 26);
        assert!(format!("{lowest:?}").contains('…'));
    }

    #[test]
    fn previews_show_little_of_other_keys() {
        for (key, expected) in [
            ("", "…"),
            ("short", "…"),
            ("fifteen-letters", "…"),
            ("sixteen-letters-", "si…s-"),
            ("sk-0123456789abcdefghijklmn", "sk-…lmn"),
            ("ключ-ключ-ключ-ключ-ключ-", "клю…юч-"),
            // Of the form of a made key, but none: the checksum is wrong.
            ("sk-gw-0000000000000000000000000000000000000000000000000", "sk-…000"),
        ] {
            assert_eq!(preview(key), expected, "{key}");
        }
    }

    proptest! {
        #[test]
        fn a_made_key_is_known_and_a_mistyped_one_is_not(bytes: [u8; 32], at in 6_usize..55, digit in 0_usize..62) {
            let key = MintedKey::from_random(bytes);
            let text = key.secret.expose();
            prop_assert_eq!(MintedKey::has_valid_checksum(text), Some(true));
            let mut other = text.as_bytes().to_vec();
            other[at] = DIGITS[digit];
            let other = String::from_utf8(other).unwrap();
            prop_assert_eq!(MintedKey::has_valid_checksum(&other), Some(other == text));
            prop_assert_eq!(MintedKey::has_valid_checksum(&text[..54]), None);
        }

        #[test]
        fn different_bits_make_different_keys(numbers: HashSet<[u8; 16]>) {
            let ids: HashSet<_> = numbers.iter().map(|bits| key_id(*bits)).collect();
            prop_assert_eq!(ids.len(), numbers.len());
        }

        #[test]
        fn a_preview_never_shows_more_than_a_quarter(key in "\\PC{0,80}") {
            let shown = preview(&key).chars().count() - 1;
            prop_assert!(shown <= 6 && shown * 4 <= key.chars().count());
        }
    }
}
