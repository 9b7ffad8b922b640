//! Scalars on one line.

use super::{Reader, is_blank};
use crate::tree::{Node, Place, Value};

/// The bytes that may end a scalar without quotes in a block, and those in a flow collection. Most bytes are none of them, which
/// is to take one look.
const MARKS: [u8; 256] = marks();
const BLOCK_MARK: u8 = 1;
const FLOW_MARK: u8 = 2;

const fn marks() -> [u8; 256] {
    let mut marks = [0; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        marks[byte as usize] = match byte {
            b'\n' | b'\r' | b':' | b'#' => BLOCK_MARK | FLOW_MARK,
            b',' | b'[' | b']' | b'{' | b'}' => FLOW_MARK,
            _ => 0,
        };
        byte += 1;
    }
    marks
}

/// What a scalar stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Block,
    /// Brackets and commas end it.
    Flow,
}

pub(super) struct Scalar {
    text: String,
    pub(super) is_plain: bool,
    pub(super) place: Place,
    /// Where it begins in the text.
    pub(super) start: usize,
}

impl Scalar {
    /// The text of a key and its place; `None` for the keys that mean something else.
    pub(super) fn into_key(self) -> Option<(String, Place)> {
        (self.text != "<<" && !self.is_null()).then_some((self.text, self.place))
    }

    pub(super) fn into_node(self) -> Node {
        if self.is_null() {
            Node::new(Value::Null, self.place)
        } else {
            Node::scalar(self.text, !self.is_plain, self.place)
        }
    }

    /// YAML 1.2, section 10.3.2.
    fn is_null(&self) -> bool {
        self.is_plain && matches!(self.text.as_str(), "~" | "null" | "Null" | "NULL")
    }
}

impl Reader<'_> {
    /// Reads the scalar that is next, quoted or not.
    pub(super) fn scalar(&mut self, context: Context) -> Option<Scalar> {
        self.count()?;
        let (start, place) = (self.at, self.place());
        let quote = self.peek()?;
        let text = match quote {
            b'"' => self.double_quoted()?,
            b'\'' => self.single_quoted()?,
            _ => self.plain(context)?.to_owned(),
        };
        Some(Scalar { text, is_plain: !matches!(quote, b'"' | b'\''), place, start })
    }

    fn double_quoted(&mut self) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let part = self.part_up_to(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r'))?;
            text.push_str(part);
            let escaped = match (self.peek()?, self.peek_at(1)) {
                (b'"', _) => {
                    self.at += 1;
                    return Some(text);
                }
                (b'\\', Some(escape @ (b'"' | b'\\'))) => char::from(escape),
                (b'\\', Some(b'n')) => '\n',
                (b'\\', Some(b't')) => '\t',
                _ => return None,
            };
            text.push(escaped);
            self.at += 2;
        }
    }

    fn single_quoted(&mut self) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let part = self.part_up_to(|byte| matches!(byte, b'\'' | b'\n' | b'\r'))?;
            text.push_str(part);
            self.take(b'\'').then_some(())?;
            // Two of them are one within the text.
            if !self.take(b'\'') {
                return Some(text);
            }
            text.push('\'');
        }
    }
}

impl<'t> Reader<'t> {
    /// Takes what stands before the first byte that ends it, which is ASCII; `None` if none does.
    fn part_up_to(&mut self, is_end: impl Fn(u8) -> bool) -> Option<&'t str> {
        let rest = &self.text[self.at..];
        let part = &rest[..rest.bytes().position(is_end)?];
        self.at += part.len();
        Some(part)
    }

    /// Takes a scalar without quotes, which is not empty.
    fn plain(&mut self, context: Context) -> Option<&'t str> {
        let (rest, is_in_flow) = (&self.text[self.at..], context == Context::Flow);
        let bytes = rest.as_bytes();
        let ends_before = |byte: Option<&u8>| {
            is_blank(byte.copied()) || is_in_flow && byte.is_some_and(|byte| b",[]{}".contains(byte))
        };
        match bytes.first()? {
            b'-' if ends_before(bytes.get(1)) => return None,
            b'?' | b':' | b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@'
            | b'`' => {
                return None;
            }
            _ => {}
        }
        let mark = if is_in_flow { FLOW_MARK } else { BLOCK_MARK };
        let mut end = 0;
        while let Some(byte) = bytes.get(end) {
            let is_end = MARKS[usize::from(*byte)] & mark != 0
                && match byte {
                    b':' => ends_before(bytes.get(end + 1)),
                    // Not the first byte, or this would be no scalar.
                    b'#' => bytes[end - 1] == b' ',
                    _ => true,
                };
            if is_end {
                break;
            }
            end += 1;
        }
        let text = rest[..end].trim_end_matches(' ');
        self.at += text.len();
        Some(text)
    }
}
