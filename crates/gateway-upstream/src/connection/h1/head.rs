//! Heads: that of a request written out, that of an answer read.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};

use super::Malformed;
use crate::connection::{MAX_HEAD, MAX_HEADERS};

const NO_HEAD: Malformed = Malformed("the answer does not begin with a head of HTTP/1");
const TOO_LARGE: Malformed = Malformed("the head of the answer is too large");

/// How a request says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// There is no body.
    None,
    Exact(u64),
    Chunked,
}

impl Length {
    /// How many pieces of what is sent one part of the body makes: a chunk has its size before it and the end of a line behind.
    pub(super) fn pieces_of_a_part(self) -> usize {
        if self == Self::Chunked { 3 } else { 1 }
    }
}

/// Writes the head of a request in origin-form, with this host (RFC 9112, section 3.2.1).
pub(super) fn write_head<B>(head: &mut BytesMut, request: &Request<B>, host: &HeaderValue, length: Length) {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    head.reserve(request.headers().iter().map(size).sum::<usize>() + target.len() + host.len() + 80);
    let root = if target.starts_with('/') { "" } else { "/" };
    for part in [request.method().as_str(), " ", root, target, " HTTP/1.1\r\nhost: "] {
        head.extend_from_slice(part.as_bytes());
    }
    head.extend_from_slice(host.as_bytes());
    for (name, value) in request.headers() {
        // The framing is made here, and so is the host.
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
            for part in [b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()] {
                head.extend_from_slice(part);
            }
        }
    }
    match length {
        Length::Chunked => head.extend_from_slice(b"\r\ntransfer-encoding: chunked"),
        Length::Exact(length) => write_length(head, length),
        // Servers may wait for one where a body is usual (RFC 9110, section 8.6).
        Length::None if [Method::POST, Method::PUT, Method::PATCH].contains(request.method()) => {
            write_length(head, 0);
        }
        Length::None => {}
    }
    head.extend_from_slice(b"\r\n\r\n");
}

fn write_length(head: &mut BytesMut, length: u64) {
    head.extend_from_slice(b"\r\ncontent-length: ");
    head.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
}

/// Takes the head of an answer off what was received; none if it is not complete. Of what was received before, so many
/// bytes were looked at.
pub(super) fn take_head(received: &mut Bytes, seen: usize) -> Result<Option<Response<()>>, Malformed> {
    if !may_be_complete(received, seen) {
        return match () {
            () if received.len() >= MAX_HEAD as usize => Err(TOO_LARGE),
            () if !may_begin(received) => Err(NO_HEAD),
            () => Ok(None),
        };
    }
    let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, received, &mut room)
        .map_err(|_| NO_HEAD)?;
    let Status::Complete(len) = status else {
        // Empty lines before a head are skipped, but not without end.
        return if received.len() >= MAX_HEAD as usize { Err(TOO_LARGE) } else { Ok(None) };
    };
    if len > MAX_HEAD as usize {
        return Err(TOO_LARGE);
    }
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|_| NO_HEAD)?;
    *answer.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in &*parsed.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| NO_HEAD)?;
        let value = HeaderValue::from_maybe_shared(received.slice_ref(line.value)).map_err(|_| NO_HEAD)?;
        headers.append(name, value);
    }
    *answer.headers_mut() = headers;
    drop(received.split_to(len));
    Ok(Some(answer))
}

/// Whether a head may begin like this, so that a peer that speaks something else need not be waited for.
fn may_begin(received: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"HTTP/1.";
    let text = received.trim_ascii_start();
    text.starts_with(BEGINNING) || BEGINNING.starts_with(text)
}

/// Whether the end of a head is among the bytes behind those that were looked at before, so that a head that comes byte by byte is
/// parsed once only. Not told apart from an end is an empty line before the head.
fn may_be_complete(received: &[u8], seen: usize) -> bool {
    let fresh = &received[seen.saturating_sub(3)..];
    memchr::memchr_iter(b'\n', fresh).any(|at| matches!(&fresh[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// Status, version and lines of a head, and what is behind it.
    type Taken = (u16, Version, Vec<String>, Bytes);

    /// The head of an answer that arrives in two parts.
    fn taken(answer: &str, cut: usize) -> Result<Option<Taken>, Malformed> {
        let mut received = Bytes::copy_from_slice(&answer.as_bytes()[..cut]);
        if let Some(early) = take_head(&mut received, 0)? {
            panic!("{early:?} was read of {:?}", &answer[..cut]);
        }
        let mut received = Bytes::copy_from_slice(answer.as_bytes());
        let Some(head) = take_head(&mut received, cut)? else { return Ok(None) };
        let lines = head.headers().iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap()));
        Ok(Some((head.status().as_u16(), head.version(), lines.collect(), received)))
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_head_arrives(cut in 0..70_usize) {
            let answer = "HTTP/1.1 429 Slow\tdown \r\nRetry-After: 3\r\nx-empty:\r\nA: 1\r\na:  2 \r\n\r\nbody";
            let cut = cut.min(answer.find("body").unwrap() - 1);
            let lines = ["retry-after=3", "x-empty=", "a=1", "a=2"].map(String::from).to_vec();
            prop_assert_eq!(taken(answer, cut).unwrap(), Some((429, Version::HTTP_11, lines, "body".into())));
        }
    }

    #[test]
    fn what_is_no_head() {
        for (answer, expected) in
            [("HTTP/1.0 200\r\n\r\n", Some(Version::HTTP_10)), ("\r\nHTTP/1.1 200 OK\n\n", Some(Version::HTTP_11))]
        {
            assert_eq!(taken(answer, 0).unwrap().map(|head| head.1), expected, "{answer:?}");
        }
        assert_eq!(taken("HTTP/1.1 200 OK\r\na: 1\r\n", 5).unwrap(), None);
        for answer in [
            "SSH-2.0-OpenSSH_9\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: 1\r\n b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
        ] {
            assert!(taken(answer, 0).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_request_is_written_in_origin_form_with_one_framing() {
        let host = HeaderValue::from_static("up.example:8080");
        let written = |method: Method, length| {
            let request = Request::builder().method(method).uri("https://else.example/v1/x?y=1").header("host", "else");
            let request =
                request.header("content-length", "7").header("transfer-encoding", "gzip").header("accept", "*/*");
            let mut head = BytesMut::new();
            write_head(&mut head, &request.body(()).unwrap(), &host, length);
            String::from_utf8(head.to_vec()).unwrap()
        };
        let expected = |line: &str, framing: &str| {
            format!("{line} /v1/x?y=1 HTTP/1.1\r\nhost: up.example:8080\r\naccept: */*{framing}\r\n\r\n")
        };
        for (method, length, framing) in [
            (Method::POST, Length::Exact(12), "\r\ncontent-length: 12"),
            (Method::POST, Length::Chunked, "\r\ntransfer-encoding: chunked"),
            (Method::POST, Length::None, "\r\ncontent-length: 0"),
            (Method::GET, Length::None, ""),
        ] {
            assert_eq!(written(method.clone(), length), expected(method.as_str(), framing));
        }
        let bare = Request::get("http://up.example").body(()).unwrap();
        let mut head = BytesMut::new();
        write_head(&mut head, &bare, &host, Length::None);
        assert!(head.starts_with(b"GET / HTTP/1.1\r\n"));
    }
}
