//! The part of a multipart body behind its model, on its way to the upstream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gateway_protocol::{MultipartScanner, Pieces, RequestError, Segments};
use gateway_upstream::BoxError;
use http_body::{Body, Frame, SizeHint};

use super::BoundedBody;
use crate::rejection::Rejection;
use crate::service::RequestSource;

/// The rest of a multipart body. What passes is scanned on: a second model further down ends the body with an error, so
/// that the upstream never gets a complete request other than the one that was authorised.
pub(crate) struct MultipartRest<B> {
    scanner: MultipartScanner,
    body: BoundedBody<B>,
}

impl<B: RequestSource> MultipartRest<B> {
    /// The rest of `body`, of which `scanner` has seen the beginning.
    pub(crate) fn new(scanner: MultipartScanner, body: BoundedBody<B>) -> Self {
        Self { scanner, body }
    }

    /// The whole body: the beginning with its model filled in, then this rest.
    pub(crate) fn behind(self, beginning: Segments) -> MultipartUpload<B> {
        MultipartUpload { beginning: beginning.into_iter(), rest: self, finished: false }
    }

    fn scan(&mut self, frame: Option<Frame<Bytes>>) -> Result<Option<Frame<Bytes>>, Rejection> {
        if let Some(chunk) = frame.as_ref().and_then(Frame::data_ref) {
            self.scanner.push(chunk.clone()).map_err(RequestError::from)?;
        }
        // A form that breaks off has to be found out before its last bytes leave: where its length was declared, nobody
        // asks for more behind them.
        if frame.is_none() || self.body.is_end_stream() {
            self.scanner.finish().map_err(RequestError::from)?;
        }
        Ok(frame)
    }
}

/// A multipart body as the upstream gets it.
pub(crate) struct MultipartUpload<B> {
    beginning: Pieces,
    rest: MultipartRest<B>,
    finished: bool,
}

impl<B: RequestSource> Body for MultipartUpload<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Some(piece) = this.beginning.next() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if this.finished {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut this.rest.body).poll_frame(cx)).transpose();
        let scanned = frame.and_then(|frame| this.rest.scan(frame));
        this.finished = !matches!(scanned, Ok(Some(_))) || this.rest.body.is_end_stream();
        Poll::Ready(scanned.map_err(BoxError::from).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.finished
    }

    fn size_hint(&self) -> SizeHint {
        let beginning = self.beginning.remaining();
        self.rest.body.size_hint().exact().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(beginning + rest))
    }
}
