//! The body of a request on its way out.
//!
//! A body that is known whole is kept as the few slices it was spliced from: it has an exact length, and a copy costs
//! reference counts, so the request can be sent again when a pooled connection turns out to be dead. A body that is
//! still arriving from the caller is polled at the upstream's speed and can be sent once only.

mod upload;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, mem};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use crate::BoxError;
pub(crate) use upload::Upload;

/// Slices kept without an allocation: head, model name and tail of a spliced body.
const INLINE: usize = 3;

/// The body of one request.
pub struct RequestBody(Source);

enum Source {
    Segments(Segments),
    Stream(Stream),
}

/// A body that is still arriving. It counts as sent once the connection has dropped it, which it does at its end.
struct Stream {
    body: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    upload: Arc<Upload>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.upload.end();
    }
}

impl RequestBody {
    /// No body.
    pub const fn empty() -> Self {
        Self(Source::Segments(Segments { slices: Slices::Inline([const { Bytes::new() }; INLINE]), next: 0 }))
    }

    /// A body known whole, as slices in order. It is sent with a `content-length` and can be sent again.
    pub fn from_segments(segments: impl IntoIterator<Item = Bytes>) -> Self {
        Self(Source::Segments(Segments::collect(segments.into_iter())))
    }

    /// A body that arrives while it is sent. An error of its source abandons the request at the upstream, which never
    /// mistakes it for a complete one.
    pub fn streaming<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        Self(Source::Stream(Stream { body: Box::pin(body), upload: Arc::default() }))
    }

    /// A copy that can be sent instead; `None` for a body that streams.
    pub fn try_clone(&self) -> Option<Self> {
        match &self.0 {
            Source::Segments(segments) => Some(Self(Source::Segments(segments.clone()))),
            Source::Stream(_) => None,
        }
    }

    /// Whether it is still arriving, and can be sent once only.
    pub(crate) fn is_streaming(&self) -> bool {
        matches!(self.0, Source::Stream(_))
    }

    /// The shared state of a body that streams.
    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        match &self.0 {
            Source::Segments(_) => None,
            Source::Stream(stream) => Some(Arc::clone(&stream.upload)),
        }
    }
}

impl Default for RequestBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::from_segments([bytes])
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Segments(segments) => write!(f, "RequestBody({} bytes)", segments.remaining()),
            Source::Stream(_) => f.write_str("RequestBody(stream)"),
        }
    }
}

/// The source of a request body failed; the reason is the source of the [`UpstreamError`](crate::UpstreamError).
#[derive(Debug, Error)]
#[error("the source of the request body failed")]
pub struct SourceFailed;

impl Body for RequestBody {
    type Data = Bytes;
    type Error = SourceFailed;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, SourceFailed>>> {
        match &mut self.get_mut().0 {
            Source::Segments(segments) => Poll::Ready(segments.next().map(|slice| Ok(Frame::data(slice)))),
            Source::Stream(stream) => stream.upload.poll_frame(stream.body.as_mut(), cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Segments(segments) => segments.remaining() == 0,
            Source::Stream(stream) => stream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Segments(segments) => SizeHint::with_exact(segments.remaining()),
            Source::Stream(stream) => stream.body.size_hint(),
        }
    }
}

#[derive(Clone)]
struct Segments {
    slices: Slices,
    next: usize,
}

#[derive(Clone)]
enum Slices {
    Inline([Bytes; INLINE]),
    Shared(Arc<[Bytes]>),
}

impl Segments {
    fn collect(mut segments: impl Iterator<Item = Bytes>) -> Self {
        let mut inline = [const { Bytes::new() }; INLINE];
        for slot in &mut inline {
            match segments.next() {
                Some(slice) => *slot = slice,
                None => return Self { slices: Slices::Inline(inline), next: 0 },
            }
        }
        match segments.next() {
            None => Self { slices: Slices::Inline(inline), next: 0 },
            Some(fourth) => {
                let all = inline.into_iter().chain([fourth]).chain(segments).collect();
                Self { slices: Slices::Shared(all), next: 0 }
            }
        }
    }

    fn remaining(&self) -> u64 {
        let all: &[Bytes] = match &self.slices {
            Slices::Inline(slices) => slices,
            Slices::Shared(slices) => slices,
        };
        all.iter().skip(self.next).map(|slice| slice.len() as u64).sum()
    }
}

impl Iterator for Segments {
    type Item = Bytes;

    /// The next slice that is not empty.
    fn next(&mut self) -> Option<Bytes> {
        loop {
            let slice = match &mut self.slices {
                Slices::Inline(slices) => mem::take(slices.get_mut(self.next)?),
                Slices::Shared(slices) => slices.get(self.next)?.clone(),
            };
            self.next += 1;
            if !slice.is_empty() {
                return Some(slice);
            }
        }
    }
}

#[cfg(test)]
mod tests;
