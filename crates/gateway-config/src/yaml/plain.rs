//! YAML to a [`Node`] tree straight from its bytes, for texts of the kind that nearly every configuration is: block mappings
//! and lists, flow collections, scalars on one line, comments.
//!
//! Why a second reader: a file of ten thousand mappings, 600 kB, is read again whenever it changes, while calls are served, and
//! all of a reload is to take less than 50 ms. For each byte of such a file this takes 55 instructions if it is written in
//! blocks, and 63 if it is written in flow collections. The events of `serde-saphyr`'s parser alone take 296, and to make values
//! of them through serde takes nearly as many again. Counted on x86-64 with
//!
//! ```text
//! cargo bench -p gateway-config --bench resolve --no-run
//! valgrind --tool=callgrind --toggle-collect=gateway_config::yaml::parse --dump-after=gateway_config::yaml::parse \
//!     target/release/deps/resolve-HASH --test 'read a flow file'
//! ```
//!
//! of which the first dump is the reading of that file; with `'read a block file'`; and with `'read an anchored file'`, which
//! `serde-saphyr` reads, where `callgrind_annotate --inclusive=yes` tells its `LiveEvents::next_impl` from the rest.
//!
//! It reads a subset of YAML 1.2 in which there is nothing to interpret, and gives up at the first byte that is outside of it:
//! at an anchor, an alias, a tag, a merge key, a block scalar, a scalar that goes on in the next line, a key without a
//! value in a flow mapping, a tab, a second document. `serde-saphyr` reads what this does not. What is *wrong* with a text is
//! always left to it as well, so that there is one set of words for that. The tests hold one reader against the other: what
//! both read is the same tree, with the same places.

mod block;
mod flow;
mod scalar;

use super::{MAX_DEPTH, MAX_NODES};
use crate::tree::{Node, Place};

/// Reads a text that is one document; `None` if it is outside of the subset, or wrong, or beyond the budget.
pub(super) fn read(text: &str) -> Option<Node> {
    let is_ascii = text.is_ascii();
    if has_odd_character(text, is_ascii) {
        return None;
    }
    let mut reader =
        Reader { text, is_ascii, at: 0, line: 1, line_start: 0, counted: 0, column: 1, nodes_left: MAX_NODES };
    reader.begin()?;
    let root = reader.block(0, MAX_DEPTH)?;
    reader.is_at_end().then_some(root)
}

/// Whether there is a character that YAML does not allow, or takes for something else than a letter in some version of it.
fn has_odd_character(text: &str, is_ascii: bool) -> bool {
    let is_odd_byte = |byte: u8| byte < b' ' && byte != b'\n' && byte != b'\r' || byte == 0x7F;
    // Without an early end this looks at many bytes at a time.
    if text.bytes().fold(false, |is_odd, byte| is_odd | is_odd_byte(byte)) {
        return true;
    }
    let is_odd = |c: char| !c.is_ascii() && (c.is_control() || c.is_whitespace());
    !is_ascii && text.chars().any(|c| is_odd(c) || matches!(c, '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}'))
}

struct Reader<'t> {
    text: &'t str,
    is_ascii: bool,
    /// What is next, always at the beginning of a character.
    at: usize,
    /// The line of it, from 1.
    line: u64,
    line_start: usize,
    /// How far the characters of the line have been counted, and the column there, from 1.
    counted: usize,
    column: u64,
    nodes_left: usize,
}

impl Reader<'_> {
    /// Goes to the first thing in the document, past the marker of its beginning if there is one.
    fn begin(&mut self) -> Option<()> {
        self.skip_blanks()?;
        if self.is_at_marker() {
            let line = self.line;
            self.at += self.rest().starts_with("---").then_some("---".len())?;
            self.skip()?;
            (self.line > line).then_some(())?;
        }
        (!self.is_at_end()).then_some(())
    }

    /// Goes to what is next, on this line or another; the marker of a document is not within the subset.
    fn skip(&mut self) -> Option<()> {
        self.skip_blanks()?;
        (!self.is_at_marker()).then_some(())
    }

    /// Goes past blanks, comments and line breaks.
    fn skip_blanks(&mut self) -> Option<()> {
        loop {
            self.skip_spaces();
            match self.peek() {
                Some(b'#') if self.at == self.line_start || self.text.as_bytes()[self.at - 1] == b' ' => {
                    let rest = self.rest();
                    self.at += rest.bytes().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
                }
                Some(b'\r') if self.peek_at(1) == Some(b'\n') => self.at += 1,
                Some(b'\n') => {
                    self.at += 1;
                    self.line += 1;
                    (self.line_start, self.counted, self.column) = (self.at, self.at, 1);
                }
                Some(b'#' | b'\r') => return None,
                _ => return Some(()),
            }
        }
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// Goes to what is next, which must not be on this line.
    fn end_line(&mut self) -> Option<()> {
        let line = self.line;
        self.skip()?;
        (self.line > line || self.is_at_end()).then_some(())
    }

    /// The column of what is next, from 1, if nothing but blanks and dashes stands before it; 0 at the end of the text.
    fn indent(&self) -> usize {
        if self.is_at_end() { 0 } else { self.at - self.line_start + 1 }
    }

    /// Where the next thing is.
    fn place(&mut self) -> Place {
        let passed = &self.text[self.counted..self.at];
        self.column += if self.is_ascii { passed.len() } else { passed.chars().count() } as u64;
        self.counted = self.at;
        Place::File { line: self.line, column: self.column }
    }

    /// Counts a value or a key.
    fn count(&mut self) -> Option<()> {
        self.nodes_left = self.nodes_left.checked_sub(1)?;
        Some(())
    }

    /// Whether a document begins or ends here, or something does that looks so.
    fn is_at_marker(&self) -> bool {
        self.at == self.line_start && (self.rest().starts_with("---") || self.rest().starts_with("..."))
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    fn peek_at(&self, distance: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + distance).copied()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }
}

/// Whether something ends before this byte, which is `None` at the end of the text.
fn is_blank(byte: Option<u8>) -> bool {
    matches!(byte, None | Some(b' ' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests;
