//! A scanner over JSON text that yields spans and builds nothing.
//!
//! Requests, answers and frames are all read by it, so what is authorised, what is sent and what is shown are found by
//! one set of rules: those of RFC 8259, in full. It is written by hand because the hot path walks into a few nested
//! members and skips the rest, with their byte ranges, in one pass and without allocation; the laws in `json/tests.rs`
//! hold it to `serde_json`'s verdict on any text. Text encoding is not looked at: a caller who needs valid UTF-8 checks
//! that apart.

#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// The text is not JSON. Where and why is found out by the ingress, off the hot path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Walks JSON text from front to back. Every method leaves the position behind what it read.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner at the first byte that is not white space.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let mut scanner = Self { bytes, at: 0 };
        scanner.skip_whitespace();
        scanner
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The byte that the scanner stands on, which tells the type of a value.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Enters the object or array that the scanner stands on; `false` if it is empty and therefore already left.
    pub(crate) fn open(&mut self, close: u8) -> Result<bool, Malformed> {
        self.at += 1;
        self.skip_whitespace();
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
    pub(crate) fn another(&mut self, close: u8) -> Result<bool, Malformed> {
        self.skip_whitespace();
        let byte = self.peek().ok_or(Malformed)?;
        self.at += 1;
        if byte == b',' {
            self.skip_whitespace();
            return Ok(true);
        }
        if byte == close { Ok(false) } else { Err(Malformed) }
    }

    /// Reads a member's name and the colon. The range is that of the name between its quotes, escapes and all.
    pub(crate) fn key(&mut self) -> Result<Range<usize>, Malformed> {
        let name = self.string()?;
        self.skip_whitespace();
        self.expect(b':')?;
        self.skip_whitespace();
        Ok(name)
    }

    /// Reads any value. Takes no stack and, for the first 64 levels of nesting, no heap either.
    pub(crate) fn value(&mut self) -> Result<Range<usize>, Malformed> {
        let start = self.at;
        let mut nesting = Nesting::default();
        loop {
            if self.descend(&mut nesting)? {
                continue;
            }
            loop {
                let Some(is_object) = nesting.innermost() else { return Ok(start..self.at) };
                if self.another(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.key()?;
                    }
                    break;
                }
                nesting.pop();
            }
        }
    }

    /// Reads a scalar or an empty container, or enters a container up to its first value; `true` in the last case.
    fn descend(&mut self, nesting: &mut Nesting) -> Result<bool, Malformed> {
        let is_object = match self.peek() {
            Some(b'{') => true,
            Some(b'[') => false,
            _ => return self.scalar().map(|()| false),
        };
        if !self.open(if is_object { b'}' } else { b']' })? {
            return Ok(false);
        }
        nesting.push(is_object);
        if is_object {
            self.key()?;
        }
        Ok(true)
    }

    /// Reads an object, `member` being called with each name, on the member's value, which it has to read. Any other
    /// value is passed over.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Range<usize>) -> Result<(), Malformed>,
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
        self.skip_whitespace();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed) }
    }

    fn scalar(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            _ => self.number(),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Malformed> {
        let rest = self.bytes.get(self.at..).ok_or(Malformed)?;
        if !rest.starts_with(word) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.accept(b"-");
        if !self.accept(b"0") {
            self.digits()?;
        }
        if self.accept(b".") {
            self.digits()?;
        }
        if self.accept(b"eE") {
            self.accept(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }

    /// Reads a string; the range is what stands between its quotes.
    fn string(&mut self) -> Result<Range<usize>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            self.at += plain_run(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at - 1);
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(Malformed),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        let length = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => 6,
            _ => return Err(Malformed),
        };
        let digits = self.bytes.get(self.at + 2..self.at + length).ok_or(Malformed)?;
        self.at += length;
        if digits.iter().all(u8::is_ascii_hexdigit) { Ok(()) } else { Err(Malformed) }
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn accept(&mut self, any_of: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| any_of.contains(&byte));
        self.at += usize::from(found);
        found
    }
}

/// Which of the containers around a position are objects: one bit a level, so that a million levels cost 125 kB.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// The innermost levels, up to 64, the innermost in the lowest bit.
    inner: u64,
    /// Full words of the levels around them.
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.inner);
        }
        self.inner = (self.inner << 1) | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.inner & 1 == 1)
    }
}

/// How many bytes at the front of a string's text need no look: neither quote nor backslash nor control character.
fn plain_run(text: &[u8]) -> usize {
    let mut at = 0;
    // Long texts and base64 images go by in blocks that the compiler turns into vector instructions.
    while let Some(block) = text[at..].first_chunk::<64>() {
        if block.iter().fold(false, |hit, byte| hit | ends_run(*byte)) {
            break;
        }
        at += 64;
    }
    while let Some(word) = text[at..].first_chunk::<8>() {
        let marks = run_ends(u64::from_le_bytes(*word));
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + text[at..].iter().take_while(|byte| !ends_run(**byte)).count()
}

fn ends_run(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Marks, in the high bit of each byte, those for which [`ends_run`] holds. Exact up to the first mark, which is all
/// that is asked of it: the subtractions borrow only upwards from a mark.
fn run_ends(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = zero_bytes(word ^ (ONES * u64::from(b'"')));
    let backslashes = zero_bytes(word ^ (ONES * u64::from(b'\\')));
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGH
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
