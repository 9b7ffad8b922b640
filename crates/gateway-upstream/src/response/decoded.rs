//! A compressed body, inflated as it is read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::{Body, Frame};
use tokio_util::io::{StreamReader, poll_read_buf};

use super::Received;
use crate::{UpstreamError, UpstreamErrorKind};

/// The most bytes that a compressed answer may inflate to: 256 MiB.
///
/// Compression reaches 1:1000 and more, so without a cap a few hundred kilobytes could occupy the gateway for long. The
/// largest honest answers (images in base64, audio) stay well below it.
pub const MAX_DECODED: u64 = 256 * 1024 * 1024;

/// How much is inflated at a time.
const STEP: usize = 16 * 1024;

/// A content coding that is decoded (RFC 9110, section 8.4.1; RFC 7932; RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// A coding that is unknown, or more than one on top of each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsupported;

impl Coding {
    /// The coding of a body with these headers; `None` if it is not encoded.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Unsupported> {
        let mut found = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            for name in value.to_str().map_err(|_| Unsupported)?.split(',').map(str::trim) {
                if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                    continue;
                }
                if found.replace(Self::named(name)?).is_some() {
                    return Err(Unsupported);
                }
            }
        }
        Ok(found)
    }

    fn named(name: &str) -> Result<Self, Unsupported> {
        match name.to_ascii_lowercase().as_str() {
            // RFC 9110, 8.4.1.3: "x-gzip" is to be taken for "gzip".
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            // RFC 9110, 8.4.1.2: "deflate" is the zlib format.
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Unsupported),
        }
    }
}

/// A body on its way through a decoder.
pub(super) struct Decoded {
    decoder: Decoder,
    step: BytesMut,
    /// How many more bytes may come out.
    allowance: u64,
    ended: bool,
}

type Encoded = StreamReader<Parts, Bytes>;

enum Decoder {
    Gzip(GzipDecoder<Encoded>),
    Deflate(ZlibDecoder<Encoded>),
    Brotli(BrotliDecoder<Encoded>),
    Zstd(ZstdDecoder<Encoded>),
}

impl Decoder {
    /// All decoders go on after the first member, so that they read up to the end of the body: only there a truncated
    /// body shows, and only there the connection is free again.
    fn new(coding: Coding, received: Received) -> Self {
        let encoded = StreamReader::new(Parts(received));
        match coding {
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(encoded);
                decoder.multiple_members(true);
                Self::Gzip(decoder)
            }
            Coding::Deflate => {
                let mut decoder = ZlibDecoder::new(encoded);
                decoder.multiple_members(true);
                Self::Deflate(decoder)
            }
            Coding::Brotli => {
                let mut decoder = BrotliDecoder::new(encoded);
                decoder.multiple_members(true);
                Self::Brotli(decoder)
            }
            Coding::Zstd => {
                let mut decoder = ZstdDecoder::new(encoded);
                decoder.multiple_members(true);
                Self::Zstd(decoder)
            }
        }
    }

    fn received(&mut self) -> &mut Received {
        let encoded = match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        };
        &mut encoded.get_mut().0
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, step: &mut BytesMut) -> Poll<io::Result<usize>> {
        match self {
            Self::Gzip(decoder) => poll_read_buf(Pin::new(decoder), cx, step),
            Self::Deflate(decoder) => poll_read_buf(Pin::new(decoder), cx, step),
            Self::Brotli(decoder) => poll_read_buf(Pin::new(decoder), cx, step),
            Self::Zstd(decoder) => poll_read_buf(Pin::new(decoder), cx, step),
        }
    }
}

impl Decoded {
    pub(super) fn new(coding: Coding, received: Received, allowance: u64) -> Self {
        Self { decoder: Decoder::new(coding, received), step: BytesMut::new(), allowance, ended: false }
    }

    pub(super) fn set_idle(&mut self, idle: Duration) {
        self.decoder.received().set_idle(idle);
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.step.reserve(STEP);
        let read = ready!(self.decoder.poll_read(cx, &mut self.step));
        Poll::Ready(match read {
            Ok(0) => {
                self.ended = true;
                None
            }
            Ok(read) => Some(self.allow(read).map(|()| Frame::data(self.step.split().freeze()))),
            Err(error) => {
                self.ended = true;
                Some(Err(into_upstream_error(error)))
            }
        })
    }

    fn allow(&mut self, read: usize) -> Result<(), UpstreamError> {
        let Some(rest) = self.allowance.checked_sub(read as u64) else {
            self.ended = true;
            return Err(UpstreamError::new(UpstreamErrorKind::DecodeTooLarge));
        };
        self.allowance = rest;
        Ok(())
    }
}

/// An error of the body below comes up as it went down; any other is the decoder's own.
fn into_upstream_error(error: io::Error) -> UpstreamError {
    error
        .downcast::<UpstreamError>()
        .unwrap_or_else(|error| UpstreamError::with_source(UpstreamErrorKind::Protocol, error))
}

/// The data of a body, as the readers of tokio want it.
struct Parts(Received);

impl Stream for Parts {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let this = self.get_mut();
        loop {
            let frame = ready!(Pin::new(&mut this.0).poll_frame(cx));
            match frame {
                Some(Ok(frame)) => {
                    // Trailers speak of the encoded bytes.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                None => return Poll::Ready(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;

    use super::*;

    #[test]
    fn codings_are_recognised() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["identity"][..], Ok(None)),
            (&[""][..], Ok(None)),
            (&["GZip"][..], Ok(Some(Coding::Gzip))),
            (&["x-gzip"][..], Ok(Some(Coding::Gzip))),
            (&["identity, br"][..], Ok(Some(Coding::Brotli))),
            (&["deflate"][..], Ok(Some(Coding::Deflate))),
            (&["zstd"][..], Ok(Some(Coding::Zstd))),
            (&["gzip, br"][..], Err(Unsupported)),
            (&["gzip", "gzip"][..], Err(Unsupported)),
            (&["compress"][..], Err(Unsupported)),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(Coding::of(&headers), expected, "{values:?}");
        }
    }
}
