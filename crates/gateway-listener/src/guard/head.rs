//! The head of one request, as far as its framing goes: lines, field names, `Content-Length`, `Transfer-Encoding`.
//!
//! Stricter than hyper's parser at every point where the two could differ: lines end in CRLF only, a length stands
//! alone and is digits, a transfer coding is `chunked` and stands alone. Everything else is left to hyper.

use std::mem;

use memchr::memchr2;

const CONTENT_LENGTH: &[u8] = b"content-length";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding";
const CHUNKED: &[u8] = b"chunked";

/// How the body after a head is delimited (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// By its length; 0 where the head says nothing.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// The position in one head.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    place: Place,
    name: NameBuffer,
    value: Value,
    length: Option<u64>,
    is_chunked: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the request line, where empty lines are skipped (RFC 9112 section 2.2).
    #[default]
    Before,
    BeforeLf,
    /// In the request line, or in the value of a field that says nothing about framing.
    Line,
    LineLf,
    FieldStart,
    Name,
    FramingValue,
    EndLf,
}

/// The value of one of the two framing fields, so far.
#[derive(Debug, Default, Clone, Copy)]
enum Value {
    #[default]
    None,
    /// Digits, and their number so far.
    Length { value: Option<u64>, padded: bool },
    /// Bytes of the word `chunked` so far.
    Coding { matched: usize, padded: bool },
}

/// A field's name in lower case, as long as it can still be one of the two.
#[derive(Debug, Default)]
struct NameBuffer {
    bytes: [u8; TRANSFER_ENCODING.len()],
    /// One more than fits stands for any longer name.
    len: usize,
}

impl NameBuffer {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte.to_ascii_lowercase();
            self.len += 1;
        } else {
            self.len = self.bytes.len() + 1;
        }
    }

    /// The name, unless it is longer than any that counts.
    fn name(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }
}

impl HeadScanner {
    /// Whether a byte of the request line has been seen.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.place, Place::Before | Place::BeforeLf)
    }

    /// Takes bytes up to the end of the head; says how many, and the framing of what follows if the head ended.
    /// An error is the offset of the byte that must not be passed on.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(usize, Option<BodyFraming>), usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.place {
                Place::Line => match memchr2(b'\r', b'\n', &bytes[at..]) {
                    None => return Ok((bytes.len(), None)),
                    Some(run) => {
                        at += run;
                        self.place = if bytes[at] == b'\r' { Place::LineLf } else { return Err(at) };
                    }
                },
                Place::EndLf if byte == b'\n' => return Ok((at + 1, Some(self.framing()))),
                Place::FieldStart if let Some(name) = whole_name(&bytes[at..]) => {
                    self.place = self.begin_value(name).ok_or(at + name.len())?;
                    at += name.len();
                }
                _ => self.take(byte).ok_or(at)?,
            }
            at += 1;
        }
        Ok((at, None))
    }

    /// Takes one byte outside of plain lines; `None` refuses it.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.place = match (self.place, byte) {
            (Place::Before, b'\r') => Place::BeforeLf,
            (Place::BeforeLf, b'\n') => Place::Before,
            (Place::Before, _) if is_token(byte) => Place::Line,
            (Place::LineLf, b'\n') => Place::FieldStart,
            (Place::FieldStart, b'\r') => Place::EndLf,
            (Place::FieldStart, _) if is_token(byte) => {
                self.name = NameBuffer::default();
                self.name.push(byte);
                Place::Name
            }
            (Place::Name, b':') => {
                let name = mem::take(&mut self.name);
                self.begin_value(name.name().unwrap_or_default())?
            }
            (Place::Name, _) if is_token(byte) => {
                self.name.push(byte);
                Place::Name
            }
            (Place::FramingValue, b'\r') => {
                self.end_value()?;
                Place::LineLf
            }
            (Place::FramingValue, _) => {
                self.value = self.value.take(byte)?;
                Place::FramingValue
            }
            _ => return None,
        };
        Some(())
    }

    /// The one place where two framing fields in one head are noticed.
    fn begin_value(&mut self, name: &[u8]) -> Option<Place> {
        let is_length = name.eq_ignore_ascii_case(CONTENT_LENGTH);
        if !is_length && !name.eq_ignore_ascii_case(TRANSFER_ENCODING) {
            return Some(Place::Line);
        }
        if self.length.is_some() || self.is_chunked {
            return None;
        }
        self.value = if is_length {
            Value::Length { value: None, padded: false }
        } else {
            Value::Coding { matched: 0, padded: false }
        };
        Some(Place::FramingValue)
    }

    fn end_value(&mut self) -> Option<()> {
        match self.value {
            Value::Length { value: Some(length), .. } => self.length = Some(length),
            Value::Coding { matched, .. } if matched == CHUNKED.len() => self.is_chunked = true,
            _ => return None,
        }
        Some(())
    }

    fn framing(&self) -> BodyFraming {
        if self.is_chunked { BodyFraming::Chunked } else { BodyFraming::Length(self.length.unwrap_or(0)) }
    }
}

impl Value {
    /// The value with one byte more; blanks may stand before and behind it, not within.
    fn take(self, byte: u8) -> Option<Self> {
        let blank = matches!(byte, b' ' | b'\t');
        match self {
            Self::Length { value, .. } if blank => Some(Self::Length { value, padded: value.is_some() }),
            Self::Length { value, padded: false } if byte.is_ascii_digit() => {
                let value = value.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                Some(Self::Length { value: Some(value), padded: false })
            }
            Self::Coding { matched, .. } if blank => Some(Self::Coding { matched, padded: matched > 0 }),
            Self::Coding { matched, padded: false } if CHUNKED.get(matched) == Some(&byte.to_ascii_lowercase()) => {
                Some(Self::Coding { matched: matched + 1, padded: false })
            }
            _ => None,
        }
    }
}

/// The name of a field, if all of it and its colon are there: as they are but where a head was cut in two. Taken byte by byte, the
/// names of a head with five fields cost 2,000 instructions more.
fn whole_name(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| !is_token(*byte))?;
    (end > 0 && bytes[end] == b':').then(|| &bytes[..end])
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let character = byte as u8;
        token[byte] = character.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < others.len() {
        token[others[index] as usize] = true;
        index += 1;
    }
    token
};
