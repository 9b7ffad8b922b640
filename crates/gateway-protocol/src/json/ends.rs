//! Where the values of JSON text end.
//!
//! These functions pass positions instead of changing a scanner: they stay in registers, which halves what a member costs. What
//! most values need is small and inlined; what few need, such as white space, long strings and escapes, is apart, so that the
//! others need not make room for it.

use super::Malformed;

/// Where the object or array ends that begins at `at`.
#[inline(never)]
pub(super) fn container_end(text: &[u8], mut at: usize) -> Result<usize, Malformed> {
    let mut nesting = Nesting::default();
    loop {
        at = match text.get(at) {
            Some(b'{') => match behind_opening(text, at, b'}')? {
                (inside, true) => {
                    nesting.push(true);
                    at = key_end(text, inside)?;
                    continue;
                }
                (behind, false) => behind,
            },
            Some(b'[') => match behind_opening(text, at, b']')? {
                (inside, true) => {
                    nesting.push(false);
                    at = inside;
                    continue;
                }
                (behind, false) => behind,
            },
            Some(b'"') => string_end(text, at + 1)?.0,
            _ => word_end(text, at)?,
        };
        loop {
            let Some(is_object) = nesting.innermost() else { return Ok(at) };
            at = skip_whitespace(text, at);
            match text.get(at) {
                Some(b',') => {
                    at = skip_whitespace(text, at + 1);
                    if is_object {
                        at = key_end(text, at)?;
                    }
                    break;
                }
                Some(b'}') if is_object => {}
                Some(b']') if !is_object => {}
                _ => return Err(Malformed),
            }
            at += 1;
            nesting.pop();
        }
    }
}

/// Where the first member or element begins of what is opened at `at`, or where it ends if it is empty, which is `false`.
#[inline]
fn behind_opening(text: &[u8], at: usize, close: u8) -> Result<(usize, bool), Malformed> {
    let inside = skip_whitespace(text, at + 1);
    match text.get(inside) {
        Some(byte) if *byte == close => Ok((inside + 1, false)),
        Some(_) => Ok((inside, true)),
        None => Err(Malformed),
    }
}

/// Where the value begins of the member that begins at `at`.
#[inline]
fn key_end(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let (end, _) = string_end(text, behind_quote(text, at)?)?;
    behind_colon(text, end)
}

#[inline]
pub(super) fn behind_colon(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let colon = skip_whitespace(text, at);
    if text.get(colon) == Some(&b':') { Ok(skip_whitespace(text, colon + 1)) } else { Err(Malformed) }
}

#[inline]
pub(super) fn behind_quote(text: &[u8], at: usize) -> Result<usize, Malformed> {
    if text.get(at) == Some(&b'"') { Ok(at + 1) } else { Err(Malformed) }
}

/// Where a number, `true`, `false` or `null` ends.
#[inline(never)]
pub(super) fn word_end(text: &[u8], at: usize) -> Result<usize, Malformed> {
    match text.get(at) {
        Some(b't') => literal_end(text, at, b"true"),
        Some(b'f') => literal_end(text, at, b"false"),
        Some(b'n') => literal_end(text, at, b"null"),
        _ => number_end(text, at),
    }
}

#[inline]
fn literal_end(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Malformed> {
    let is_there = text.get(at..).is_some_and(|rest| rest.starts_with(word));
    if is_there { Ok(at + word.len()) } else { Err(Malformed) }
}

#[inline]
fn number_end(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start + usize::from(text.get(start) == Some(&b'-'));
    at = if text.get(at) == Some(&b'0') { at + 1 } else { digits_end(text, at)? };
    if text.get(at) == Some(&b'.') {
        at = digits_end(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let has_sign = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = digits_end(text, at + 1 + usize::from(has_sign))?;
    }
    Ok(at)
}

#[inline]
fn digits_end(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    if at > start { Ok(at) } else { Err(Malformed) }
}

#[inline]
pub(super) fn skip_whitespace(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(byte) if *byte <= b' ' => skip_indent(text, at),
        _ => at,
    }
}

/// Skips white space as serialisers write it for people: a line end, then spaces.
#[inline(never)]
fn skip_indent(text: &[u8], mut at: usize) -> usize {
    const SPACES: u64 = ONES * 0x20;
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = text.get(at) {
        at += 1;
        if text.get(at).is_some_and(|byte| *byte > b' ') {
            return at;
        }
        while let Some(word) = word_at(text, at) {
            let spaces = (word ^ SPACES).trailing_zeros() as usize / 8;
            at += spaces;
            if spaces < 8 {
                break;
            }
        }
    }
    at
}

/// Where a string ends, from somewhere in it, its quote included; and whether there was an escape before.
#[inline]
pub(super) fn string_end(text: &[u8], at: usize) -> Result<(usize, bool), Malformed> {
    match short_string_end(text, at) {
        Some(end) => Ok((end, false)),
        None => long_string_end(text, at),
    }
}

/// The same for one that ends within a word and without an escape, as most names and labels do.
#[inline]
pub(super) fn short_string_end(text: &[u8], at: usize) -> Option<usize> {
    let end = at + word_run(word_at(text, at)?);
    (text.get(end) == Some(&b'"')).then_some(end + 1)
}

#[inline(never)]
fn long_string_end(text: &[u8], at: usize) -> Result<(usize, bool), Malformed> {
    let mut rest = text.get(at..).unwrap_or_default();
    let mut has_escapes = false;
    loop {
        rest = match behind_run(rest) {
            [b'"', behind @ ..] => return Ok((text.len() - behind.len(), has_escapes)),
            [b'\\', letter, behind @ ..] if IS_SHORT_ESCAPE[usize::from(*letter)] => behind,
            [b'\\', b'u', digits @ ..] => match digits.split_first_chunk::<4>() {
                Some((digits, behind)) if digits.iter().all(u8::is_ascii_hexdigit) => behind,
                _ => return Err(Malformed),
            },
            _ => return Err(Malformed),
        };
        has_escapes = true;
    }
}

/// The letters that are an escape behind a backslash, but for `u`. Looked up because text that holds code has an escape every few
/// bytes.
const IS_SHORT_ESCAPE: [bool; 256] = {
    let (mut is_short, letters, mut at) = ([false; 256], b"\"\\/bfnrt", 0);
    while at < letters.len() {
        is_short[letters[at] as usize] = true;
        at += 1;
    }
    is_short
};

/// What stands behind the run at the front of a string's text that needs no look: a quote, a backslash, a control character or
/// nothing.
#[inline]
pub(super) fn behind_run(mut text: &[u8]) -> &[u8] {
    // What is not over within two words is likely to be long.
    for _ in 0..2 {
        let Some((word, behind)) = text.split_first_chunk() else { break };
        let run = word_run(u64::from_le_bytes(*word));
        if run < 8 {
            return &text[run..];
        }
        text = behind;
    }
    // Long texts and base64 images go by in blocks that the compiler turns into vector instructions, at two thirds of an
    // instruction a byte.
    while let Some((block, behind)) = text.split_first_chunk::<32>() {
        if block.iter().fold(false, |hit, byte| hit | ends_run(*byte)) {
            break;
        }
        text = behind;
    }
    while let Some((word, behind)) = text.split_first_chunk() {
        let run = word_run(u64::from_le_bytes(*word));
        if run < 8 {
            return &text[run..];
        }
        text = behind;
    }
    let run = text.iter().take_while(|byte| !ends_run(**byte)).count();
    &text[run..]
}

/// A quote, a backslash or a control character. The quote stands so close to those that one comparison finds them all.
#[inline]
pub(super) fn ends_run(byte: u8) -> bool {
    (byte ^ 0x02) <= 0x20 || byte == b'\\'
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Eight bytes of a text as a number, the first in the lowest place.
#[inline]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..at.checked_add(8)?)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// How many bytes at the front of eight need no look. They are marked in the high bits of a word, in which the subtractions
/// borrow only upwards from a mark, so that it is exact up to the first.
#[inline]
fn word_run(word: u64) -> usize {
    const HIGH: u64 = ONES << 7;
    let quotes_and_controls = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslashes = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    let marks = (quotes_and_controls | backslashes) & !word & HIGH;
    marks.trailing_zeros() as usize / 8
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

/// Apart, so that nobody else makes room for its registers.
#[cold]
#[inline(never)]
fn spill(outer: &mut Vec<u64>, inner: u64) {
    outer.push(inner);
}

impl Nesting {
    #[inline]
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            spill(&mut self.outer, self.inner);
        }
        self.inner = (self.inner << 1) | u64::from(is_object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline]
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.inner & 1 == 1)
    }
}
