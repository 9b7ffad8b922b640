//! One event and its fields.
//!
//! A frame keeps its lines exactly as they arrived and finds its fields when asked. Most frames are looked at once, so
//! an index of the lines would cost more than it saves. But where the last line begins is known from finding the frame's end: it
//! is the long one, and is not searched through again for each question.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// One event: its lines as they arrived, without the line end of the last one and without the blank line behind it.
///
/// Never empty. A block of comments alone is a frame too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    last_line: usize,
}

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
            Self::Line(range) => frame.bytes.get(range.clone()),
            Self::Lines(joined) => Some(joined),
        }
    }
}

impl Frame {
    /// The frame of these lines, the last of which begins at `last_line`.
    pub(crate) fn new(bytes: Bytes, last_line: usize) -> Self {
        Self { bytes, last_line }
    }

    /// The lines as they arrived.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The lines one by one, in order.
    pub fn fields(&self) -> Fields<'_> {
        Fields { bytes: &self.bytes, at: 0, last_line: self.last_line }
    }

    /// The value of the last `event` line, which is the one that counts.
    pub fn event(&self) -> Option<&[u8]> {
        self.fields().filter(|field| field.name == b"event").last().map(|field| field.value)
    }

    /// Whether it has one line only, as most do.
    #[inline]
    pub fn is_one_line(&self) -> bool {
        self.last_line == 0
    }

    /// What [`Frame::event`] and [`Frame::data`] give, in one pass.
    pub fn event_and_data(&self) -> (Option<&[u8]>, Data) {
        if self.is_one_line() && self.bytes.starts_with(b"data:") {
            let value = 5 + usize::from(self.bytes.get(5) == Some(&b' '));
            return (None, Data::Line(value..self.bytes.len()));
        }
        let (mut event, mut data) = (None, Data::None);
        for field in self.fields() {
            match field.name {
                b"event" => event = Some(field.value),
                b"data" if data == Data::None => data = Data::Line(field.value_range()),
                b"data" => return (self.event(), self.data()),
                _ => {}
            }
        }
        (event, data)
    }

    /// The payload. Allocates only if there are several `data` lines.
    pub fn data(&self) -> Data {
        let mut lines = self.fields().filter(|field| field.name == b"data");
        let Some(first) = lines.next() else { return Data::None };
        let Some(second) = lines.next() else { return Data::Line(first.value_range()) };
        let mut joined = BytesMut::with_capacity(self.bytes.len());
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
    last_line: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let is_last = self.at >= self.last_line;
        let length = if is_last { rest.len() } else { memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()) };
        let line = self.at..self.at + length;
        let line_end = if rest[length..].starts_with(b"\r\n") { 2 } else { 1 };
        self.at = line.end + line_end;
        let (name, value) = split_field(&rest[..length]);
        Some(Field { name, value, line })
    }
}

fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    if let Some(value) = line.strip_prefix(b"data:") {
        return (b"data", value.strip_prefix(b" ").unwrap_or(value));
    }
    // Names are short and stand first: a plain loop beats a vectorised search that runs into the payload.
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return (line, &[]) };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}
