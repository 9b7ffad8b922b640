//! A scanner over JSON text that yields spans and builds nothing.
//!
//! Requests, answers and frames are all read by it, so what is authorised, what is sent and what is shown are found by
//! one set of rules: those of RFC 8259, in full. It is written by hand because the hot path walks into a few nested
//! members and skips the rest, with their byte ranges, in one pass and without allocation; the laws in `json/tests.rs`
//! hold it to `serde_json`'s verdict on any text. Text encoding is not looked at: a caller who needs valid UTF-8 checks
//! that apart.

mod ends;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod write;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use self::ends::{behind_colon, behind_quote, container_end, short_string_end, skip_whitespace, string_end, word_end};

/// The text is not JSON. Where and why is found out by the ingress, off the hot path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What stands between the quotes of a string or of a member's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted<'a> {
    /// The bytes as they stand there, escapes and all.
    pub(crate) raw: &'a [u8],
    /// Where they begin: behind the opening quote.
    pub(crate) start: usize,
    /// Whether there is an escape among them. Seen in passing, and spares everybody else the look.
    has_escapes: bool,
}

impl<'a> Quoted<'a> {
    /// Where they end: at the closing quote.
    #[inline]
    pub(crate) fn end(self) -> usize {
        self.start + self.raw.len()
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start..self.end()
    }

    #[inline]
    pub(crate) fn has_escapes(self) -> bool {
        self.has_escapes
    }

    /// What they mean. Allocates only if there are escapes; what is no text stays as it is.
    #[inline]
    pub(crate) fn meaning(self) -> Cow<'a, [u8]> {
        if self.has_escapes { key_name(self.raw) } else { Cow::Borrowed(self.raw) }
    }

    /// How many bytes the meaning has in UTF-8; half a surrogate pair counts two.
    #[inline]
    pub(crate) fn text_len(self) -> usize {
        if self.has_escapes { text_len(self.raw) } else { self.raw.len() }
    }
}

/// Walks JSON text from front to back. Every method leaves the position behind what it read.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner at the first byte that is not white space.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: skip_whitespace(bytes, 0) }
    }

    /// A scanner that stands on what begins at `at`.
    pub(crate) fn at_value(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The byte that the scanner stands on, which tells the type of a value.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Enters the object or array that the scanner stands on; `false` if it is empty and therefore already left.
    #[inline]
    pub(crate) fn open(&mut self, close: u8) -> Result<bool, Malformed> {
        self.at = skip_whitespace(self.bytes, self.at + 1);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Err(Malformed),
        }
    }

    /// Goes on behind a member or an element: `true` if the scanner stands on another, `false` if it left by `close`.
    #[inline]
    pub(crate) fn another(&mut self, close: u8) -> Result<bool, Malformed> {
        let at = skip_whitespace(self.bytes, self.at);
        match self.bytes.get(at) {
            Some(b',') => {
                self.at = skip_whitespace(self.bytes, at + 1);
                Ok(true)
            }
            Some(byte) if *byte == close => {
                self.at = at + 1;
                Ok(false)
            }
            _ => Err(Malformed),
        }
    }

    /// Reads a member's name and the colon.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Quoted<'a>, Malformed> {
        let start = behind_quote(self.bytes, self.at)?;
        if let Some(end) = short_string_end(self.bytes, start)
            && self.bytes.get(end) == Some(&b':')
        {
            self.at = skip_whitespace(self.bytes, end + 1);
            return Ok(Quoted { raw: &self.bytes[start..end - 1], start, has_escapes: false });
        }
        self.long_key()
    }

    #[inline(never)]
    fn long_key(&mut self) -> Result<Quoted<'a>, Malformed> {
        let name = self.string()?;
        self.at = behind_colon(self.bytes, self.at)?;
        Ok(name)
    }

    /// Reads a string.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Quoted<'a>, Malformed> {
        let start = behind_quote(self.bytes, self.at)?;
        let (end, has_escapes) = string_end(self.bytes, start)?;
        self.at = end;
        Ok(Quoted { raw: &self.bytes[start..end - 1], start, has_escapes })
    }

    /// Reads any value. Takes no stack and, for the first 64 levels of nesting, no heap either.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.at;
        self.at = match self.peek() {
            Some(b'"') => string_end(self.bytes, start + 1)?.0,
            Some(b'{' | b'[') => container_end(self.bytes, start)?,
            _ => word_end(self.bytes, start)?,
        };
        Ok(start..self.at)
    }

    /// Reads an object, `member` being called with each name, on the member's value, which it has to read. Any other
    /// value is passed over.
    #[inline]
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Quoted<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.peek() != Some(b'{') {
            return self.value().map(drop);
        }
        let mut more = self.open(b'}')?;
        while more {
            let key = self.key()?;
            member(self, key)?;
            more = self.another(b'}')?;
        }
        Ok(())
    }

    /// Reads an array, `element` being called on each element, which it has to read. Any other value is passed over.
    #[inline]
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.peek() != Some(b'[') {
            return self.value().map(drop);
        }
        let mut more = self.open(b']')?;
        while more {
            element(self)?;
            more = self.another(b']')?;
        }
        Ok(())
    }

    /// Makes sure that only white space is left.
    pub(crate) fn finish(&mut self) -> Result<(), Malformed> {
        self.at = skip_whitespace(self.bytes, self.at);
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed) }
    }
}

/// The text of a JSON string, given with its quotes. `None` if it is no string, or has half of a surrogate pair.
pub(crate) fn text(string: &[u8]) -> Option<Cow<'_, str>> {
    if let [b'"', plain @ .., b'"'] = string
        && !plain.contains(&b'\\')
    {
        return std::str::from_utf8(plain).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(string).ok().map(Cow::Owned)
}

/// How many bytes a JSON string's meaning has in UTF-8, given as it stands between its quotes. Half a surrogate pair counts
/// two.
pub(crate) fn text_len(raw: &[u8]) -> usize {
    let mut len = raw.len();
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest) {
        let (spelled, meant) = match &rest[at + 1..] {
            [b'u', b'0', b'0', b'0'..=b'7', _, ..] => (6, 1),
            [b'u', b'0', b'0'..=b'7', ..] | [b'u', b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..] => (6, 2),
            [b'u', ..] => (6, 3),
            _ => (2, 1),
        };
        len -= spelled - meant;
        rest = rest.get(at + spelled..).unwrap_or_default();
    }
    len
}

/// A number of things, such as tokens, given as a JSON value: a whole number however it is written, `12`, `12.0` or `1.2e1`.
/// `None` for whatever is none, or larger than any that every reader of JSON can tell from its neighbours (RFC 8259, section 6):
/// 2^53.
pub(crate) fn whole_number(value: &[u8]) -> Option<u64> {
    const MAX: u64 = 1 << 53;
    /// No number of so many digits is as large as the largest of a word.
    const FEW: usize = u64::MAX.ilog10() as usize;
    if value.iter().all(u8::is_ascii_digit) && (1..=FEW).contains(&value.len()) {
        let number = value.iter().fold(0, |number, digit| 10 * number + u64::from(digit - b'0'));
        return Some(number).filter(|number| *number <= MAX);
    }
    let text = std::str::from_utf8(value).ok()?;
    if value.iter().all(u8::is_ascii_digit) {
        return text.parse().ok().filter(|number| *number <= MAX);
    }
    if !value.first()?.is_ascii_digit() {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    // At the bound itself a number may have been rounded to it.
    let is_whole = number.fract() == 0.0 && number < 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, below 2^53 and without a sign")]
    is_whole.then_some(number as u64)
}

/// A member's name by its meaning, given as it stands between its quotes. Allocates only if it has escapes; one that is
/// no text stays as it is.
pub(crate) fn key_name(raw: &[u8]) -> Cow<'_, [u8]> {
    let escaped = if raw.contains(&b'\\') { unescape_key(raw) } else { None };
    escaped.map_or(Cow::Borrowed(raw), |key| Cow::Owned(key.into_bytes()))
}

/// The meaning of a member's name, given as it stands between its quotes.
pub(crate) fn unescape_key(raw: &[u8]) -> Option<String> {
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice(&quoted).ok()
}
