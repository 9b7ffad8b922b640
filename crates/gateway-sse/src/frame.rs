//! One event and its fields.
//!
//! A frame keeps its lines exactly as they arrived and finds its fields when asked. Most frames are looked at once, so
//! an index of the lines would cost more than it saves.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// One event: its lines as they arrived, without the line end of the last one and without the blank line behind it.
///
/// Never empty. A block of comments alone is a frame too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Bytes);

/// One line of a frame, split by the rules of the event-stream format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// What stands before the first colon; the whole line if there is none; empty for a comment.
    pub name: &'a [u8],
    /// What stands behind the first colon, without one leading space; empty if there is no colon.
    pub value: &'a [u8],
    /// Where the line lies in [`Frame::bytes`], its line end excluded.
    pub line: Range<usize>,
}

impl Field<'_> {
    /// Where the value lies in [`Frame::bytes`]: always at the end of the line.
    pub fn value_range(&self) -> Range<usize> {
        self.line.end - self.value.len()..self.line.end
    }
}

/// The payload of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// No `data` line: a consumer of the stream sees no event.
    None,
    /// One `data` line; its value lies here in [`Frame::bytes`].
    Line(Range<usize>),
    /// Several `data` lines, their values joined with line feeds.
    Lines(Bytes),
}

impl Data {
    /// The payload as bytes; `frame` must be the one that this came from. `None` if there is no `data` line.
    pub fn bytes<'a>(&'a self, frame: &'a Frame) -> Option<&'a [u8]> {
        match self {
            Self::None => None,
            Self::Line(range) => frame.0.get(range.clone()),
            Self::Lines(joined) => Some(joined),
        }
    }
}

impl Frame {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The lines as they arrived.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The lines one by one, in order.
    pub fn fields(&self) -> Fields<'_> {
        Fields { bytes: &self.0, at: 0 }
    }

    /// The value of the last `event` line, which is the one that counts.
    pub fn event(&self) -> Option<&[u8]> {
        self.fields().filter(|field| field.name == b"event").last().map(|field| field.value)
    }

    /// The payload. Allocates only if there are several `data` lines.
    pub fn data(&self) -> Data {
        let mut lines = self.fields().filter(|field| field.name == b"data");
        let Some(first) = lines.next() else { return Data::None };
        let Some(second) = lines.next() else { return Data::Line(first.value_range()) };
        let mut joined = BytesMut::with_capacity(self.0.len());
        joined.extend_from_slice(first.value);
        for field in std::iter::once(second).chain(lines) {
            joined.extend_from_slice(b"\n");
            joined.extend_from_slice(field.value);
        }
        Data::Lines(joined.freeze())
    }
}

/// The lines of a frame, split into names and values; made by [`Frame::fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let length = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let line = self.at..self.at + length;
        let line_end = if rest[length..].starts_with(b"\r\n") { 2 } else { 1 };
        self.at = line.end + line_end;
        let (name, value) = split_field(&rest[..length]);
        Some(Field { name, value, line })
    }
}

fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    // Names are short and stand first: a plain loop beats a vectorised search that runs into the payload.
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return (line, &[]) };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}
