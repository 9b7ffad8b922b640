//! Where the body of an answer ends (RFC 9112, section 6.3), and whether its connection can serve on behind it.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};

use super::Malformed;
use super::chunks::Chunks;

/// How a body ends.
#[derive(Debug)]
pub(super) enum Framing {
    /// After so many more bytes.
    Length(u64),
    /// With its last chunk.
    Chunked(Chunks),
    /// With the connection.
    Close,
}

/// What the head of an answer says about what follows it.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) framing: Framing,
    /// Whether the connection outlives the answer.
    pub(super) is_kept: bool,
}

impl Announced {
    /// That of an answer to a request, which may have been `HEAD`.
    pub(super) fn by(
        status: StatusCode,
        version: Version,
        headers: &HeaderMap,
        is_head: bool,
    ) -> Result<Self, Malformed> {
        let names = |option: &str| list(headers, &CONNECTION).any(|it| it.eq_ignore_ascii_case(option));
        let is_kept = if version == Version::HTTP_11 { !names("close") } else { names("keep-alive") };
        let length = length(headers)?;
        if is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(Self { framing: Framing::Length(0), is_kept });
        }
        if headers.contains_key(TRANSFER_ENCODING) {
            if headers.get_all(TRANSFER_ENCODING).iter().any(|value| value.to_str().is_err()) {
                return Err(Malformed("the answer has a transfer coding that cannot be read"));
            }
            if version != Version::HTTP_11 {
                return Err(Malformed("the answer is of HTTP/1.0 and has a transfer coding"));
            }
            // No other coding was asked for (`TE`, RFC 9110 section 10.1.4), and the caller would not be told of one.
            let mut codings = list(headers, &TRANSFER_ENCODING);
            if !codings.next().is_some_and(|it| it.eq_ignore_ascii_case("chunked")) || codings.next().is_some() {
                return Err(Malformed("the answer has a transfer coding that was not asked for"));
            }
            // With a length as well it may be an attempt to smuggle an answer, so nothing else is believed of the connection (section 6.1).
            return Ok(Self { framing: Framing::Chunked(Chunks::new()), is_kept: is_kept && length.is_none() });
        }
        Ok(match length {
            Some(length) => Self { framing: Framing::Length(length), is_kept },
            None => Self { framing: Framing::Close, is_kept: false },
        })
    }
}

impl Framing {
    /// The next data of what was received; none if there is no more of it in there.
    pub(super) fn next(&mut self, received: &mut Bytes) -> Result<Option<Bytes>, Malformed> {
        match self {
            Self::Chunked(chunks) => chunks.next(received),
            Self::Length(left) => {
                let len = usize::try_from(*left).map_or(received.len(), |left| left.min(received.len()));
                *left -= len as u64;
                Ok(Some(received.split_to(len)).filter(|data| !data.is_empty()))
            }
            Self::Close => Ok(Some(std::mem::take(received)).filter(|data| !data.is_empty())),
        }
    }

    /// Whether the end has been read.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.is_over(),
            Self::Close => false,
        }
    }

    /// How many bytes are left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(chunks) => chunks.is_over().then_some(0),
            Self::Close => None,
        }
    }
}

/// The members of all lists under a name (RFC 9110, section 5.6.1).
fn list<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty())
}

/// The announced length. Several are one if they say the same (RFC 9112, section 6.3, item 5).
fn length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    const INVALID: Malformed = Malformed("the answer's content-length is not one number");
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for member in value.to_str().map_err(|_| INVALID)?.split(',') {
            let member = member.trim();
            let is_number = !member.is_empty() && member.bytes().all(|byte| byte.is_ascii_digit());
            let this = member.parse::<u64>().ok().filter(|_| is_number).ok_or(INVALID)?;
            if length.is_some_and(|length| length != this) {
                return Err(INVALID);
            }
            length = Some(this);
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;

    use super::*;

    fn announced(version: Version, status: u16, is_head: bool, lines: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        match Announced::by(status, version, &headers, is_head) {
            Err(_) => "malformed".into(),
            Ok(Announced { framing, is_kept }) => {
                let end = match framing {
                    Framing::Length(length) => length.to_string(),
                    Framing::Chunked(_) => "chunked".into(),
                    Framing::Close => "close".into(),
                };
                format!("{end}{}", if is_kept { ", kept" } else { "" })
            }
        }
    }

    #[test]
    fn heads_and_what_follows_them() {
        const TE: &str = "transfer-encoding";
        const CL: &str = "content-length";
        let v11 = Version::HTTP_11;
        for (lines, expected) in [
            (&[(CL, "3")][..], "3, kept"),
            (&[(CL, "3"), ("connection", "x, Close")], "3"),
            (&[(CL, "3"), (CL, "3")], "3, kept"),
            (&[(CL, "3, 3")], "3, kept"),
            (&[(CL, "3"), (CL, "4")], "malformed"),
            (&[(CL, "+3")], "malformed"),
            (&[(CL, "")], "malformed"),
            (&[(CL, "99999999999999999999")], "malformed"),
            (&[(TE, "chunked")], "chunked, kept"),
            (&[(TE, ", Chunked")], "chunked, kept"),
            (&[(TE, "gzip, chunked")], "malformed"),
            (&[(TE, "gzip"), (TE, "chunked")], "malformed"),
            (&[(TE, "chunked, gzip")], "malformed"),
            (&[(TE, "chunked"), (TE, "chunked")], "malformed"),
            (&[(TE, "identity")], "malformed"),
            (&[(TE, "")], "malformed"),
            (&[(TE, "chunked"), (CL, "3")], "chunked"),
            (&[(TE, "chunked"), (CL, "x")], "malformed"),
            (&[(TE, "chunked"), (TE, "\t\u{e9}")], "malformed"),
            (&[], "close"),
        ] {
            assert_eq!(announced(v11, 200, false, lines), expected, "{lines:?}");
        }
        assert_eq!(announced(v11, 200, true, &[(CL, "3")]), "0, kept");
        assert_eq!(announced(v11, 204, false, &[]), "0, kept");
        assert_eq!(announced(v11, 304, false, &[(CL, "3")]), "0, kept");
        let v10 = Version::HTTP_10;
        assert_eq!(announced(v10, 200, false, &[(CL, "3")]), "3");
        assert_eq!(announced(v10, 200, false, &[(CL, "3"), ("connection", "Keep-Alive")]), "3, kept");
        assert_eq!(announced(v10, 200, false, &[(TE, "chunked")]), "malformed");
    }
}
