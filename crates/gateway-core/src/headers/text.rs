//! Short values of headers, put together without an allocation.
//!
//! An answer has three or more numbers and a duration. By way of `fmt` and a growing buffer they took a twentieth of a plain call's
//! instructions.

use http::HeaderValue;

/// The longest text, in bytes: two numbers of 64 bits, and a few letters.
const MOST: usize = 48;

/// A short text on its way to being a header's value.
pub(crate) struct ShortText {
    bytes: [u8; MOST],
    len: usize,
}

impl ShortText {
    /// No text yet.
    pub(crate) fn new() -> Self {
        Self { bytes: [0; MOST], len: 0 }
    }

    /// Adds a text, as far as it fits.
    pub(crate) fn push(&mut self, text: &[u8]) {
        let text = &text[..text.len().min(MOST - self.len)];
        let end = self.len + text.len();
        self.bytes[self.len..end].copy_from_slice(text);
        self.len = end;
    }

    /// Adds a number. Of one that does not fit, which no header here has, only the first digits.
    pub(crate) fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number).as_bytes());
    }

    /// The text as a value; none if it holds what no header can.
    pub(crate) fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.bytes[..self.len]).ok()
    }
}

/// A number as a value.
pub(crate) fn number(number: u64) -> HeaderValue {
    let mut text = ShortText::new();
    text.push_number(number);
    text.value().unwrap_or_else(|| HeaderValue::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_fmt_does() {
        for each in [0, 1, 9, 10, 99, 100, 1_000_000, 1_234_567_890, u64::MAX - 1, u64::MAX] {
            assert_eq!(number(each), HeaderValue::from(each));
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let mut text = ShortText::new();
        for _ in 0..3 {
            text.push_number(u64::MAX);
        }
        assert_eq!(text.value().unwrap().len(), MOST);
    }
}
