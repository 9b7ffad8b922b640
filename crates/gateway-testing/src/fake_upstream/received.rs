//! A request as it arrived, and the reading of it from a socket's bytes.

use bytes::{Buf, Bytes, BytesMut};

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// The number of its connection, from 0.
    pub connection: usize,
    /// The head byte for byte, up to and with its empty line.
    pub head: Bytes,
    /// The body, without the framing of chunks; empty if the script did not read it.
    pub body: Bytes,
}

impl ReceivedRequest {
    /// The request line, without its line end.
    pub fn request_line(&self) -> &str {
        self.lines().next().unwrap_or_default()
    }

    /// The request's method.
    pub fn method(&self) -> &str {
        self.request_line().split(' ').next().unwrap_or_default()
    }

    /// The request's target as it was sent: path and query.
    pub fn target(&self) -> &str {
        self.request_line().split(' ').nth(1).unwrap_or_default()
    }

    /// Names and values of the header lines, in order and as they were spelt.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Lines of a head that is not text show as none.
    fn lines(&self) -> impl Iterator<Item = &str> {
        str::from_utf8(&self.head).unwrap_or_default().split("\r\n")
    }
}

/// How much of a body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyReader {
    Length(usize),
    Chunked,
    Ended,
}

/// Takes a whole head off the front of `bytes`, if there is one.
pub(super) fn take_head(bytes: &mut BytesMut) -> Option<Bytes> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(bytes.split_to(end + 4).freeze())
}

impl BodyReader {
    /// The reader for the body of this request.
    pub(super) fn new(request: &ReceivedRequest) -> Self {
        if request.header("transfer-encoding").is_some() {
            return Self::Chunked;
        }
        match request.header("content-length").and_then(|length| length.parse().ok()) {
            None | Some(0) => Self::Ended,
            Some(length) => Self::Length(length),
        }
    }

    /// Moves what is there of the body from `bytes` to `body`; says whether it is whole.
    pub(super) fn take(&mut self, bytes: &mut BytesMut, body: &mut BytesMut) -> bool {
        match self {
            Self::Length(left) => {
                let taken = bytes.split_to(bytes.len().min(*left));
                *left -= taken.len();
                body.extend_from_slice(&taken);
                *left == 0
            }
            Self::Chunked => {
                while *self == Self::Chunked && take_chunk(self, bytes, body).is_some() {}
                *self == Self::Ended
            }
            Self::Ended => true,
        }
    }
}

/// Takes one whole chunk with its framing; trailers are not understood.
fn take_chunk(reader: &mut BodyReader, bytes: &mut BytesMut, body: &mut BytesMut) -> Option<()> {
    let line = bytes.windows(2).position(|window| window == b"\r\n")?;
    let digits = str::from_utf8(&bytes[..line]).ok()?.split(';').next()?.trim();
    let size = usize::from_str_radix(digits, 16).ok()?;
    if bytes.len() < line + 2 + size + 2 {
        return None;
    }
    bytes.advance(line + 2);
    body.extend_from_slice(&bytes.split_to(size));
    bytes.advance(2);
    if size == 0 {
        *reader = BodyReader::Ended;
    }
    Some(())
}
