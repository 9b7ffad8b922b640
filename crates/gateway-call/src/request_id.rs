//! The name of one request, on every answer and in every log line.

use std::fmt;

use http::HeaderValue;

/// An identifier of 1 to 128 visible ASCII characters, the caller's own or made by the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The longest identifier that is taken over from a caller, in bytes.
    pub const MAX_LEN: usize = 128;

    /// A new identifier from 128 random bits, which the caller of this function draws.
    pub fn from_random(bits: u128) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"req_00000000000000000000000000000000";
        for (digits, byte) in text[4..].chunks_exact_mut(2).zip(bits.to_be_bytes()) {
            digits[0] = HEX[usize::from(byte >> 4)];
            digits[1] = HEX[usize::from(byte & 0xf)];
        }
        Self(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("req")))
    }

    /// The caller's own identifier, if it is one: visible ASCII only, so that it can stand in a log line and a header.
    pub fn from_header(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let fits = (1..=Self::MAX_LEN).contains(&bytes.len());
        (fits && bytes.iter().all(u8::is_ascii_graphic)).then(|| Self(value.clone()))
    }

    /// The identifier as a header value.
    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        // Both constructors admit visible ASCII only, which is always text. `HeaderValue::to_str` looks at each byte apart.
        std::str::from_utf8(self.0.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_identifiers_are_hexadecimal_and_distinct() {
        let id = RequestId::from_random(0x0123_4567_89ab_cdef_0000_0000_0000_00ff);
        assert_eq!(id.as_str(), "req_0123456789abcdef00000000000000ff");
    }

    #[test]
    fn callers_identifiers_are_checked() {
        let accept = |text: &str| HeaderValue::from_str(text).ok().and_then(|value| RequestId::from_header(&value));
        assert_eq!(accept("abc-123").map(|id| id.to_string()), Some("abc-123".to_owned()));
        assert!(accept("").is_none());
        assert!(accept("a b").is_none());
        assert!(accept(&"x".repeat(128)).is_some());
        assert!(accept(&"x".repeat(129)).is_none());
        assert!(HeaderValue::from_bytes(b"\xff").ok().and_then(|value| RequestId::from_header(&value)).is_none());
    }
}
