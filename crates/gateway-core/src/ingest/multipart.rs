//! The part of a multipart body behind its model, on its way to the upstream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gateway_protocol::{MultipartScanner, Pieces, RequestError, Segments};
use gateway_upstream::BoxError;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;

use super::BoundedBody;
use crate::rejection::Rejection;
use crate::service::RequestSource;

/// The rest of a multipart body. What passes is scanned on: a second model further down ends the body with an error, so
/// that the upstream never gets a complete request other than the one that was authorised.
pub(crate) struct MultipartRest<B> {
    scanner: MultipartScanner,
    body: BoundedBody<B>,
    finished: bool,
}

impl<B: RequestSource> MultipartRest<B> {
    /// The rest of `body`, of which `scanner` has seen the beginning.
    pub(crate) fn new(scanner: MultipartScanner, body: BoundedBody<B>) -> Self {
        Self { scanner, body, finished: false }
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

impl<B: RequestSource> Body for MultipartRest<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.finished {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx)).transpose();
        let scanned = frame.and_then(|frame| this.scan(frame));
        this.finished = !matches!(scanned, Ok(Some(_))) || this.body.is_end_stream();
        Poll::Ready(scanned.map_err(BoxError::from).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.finished
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

type Rest = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

/// A body that streams through, for whichever attempt first gets to send it. An upstream that could not be reached has
/// taken nothing of it, so the next one still gets it whole.
pub(crate) struct Upload {
    rest: Arc<Mutex<Option<Rest>>>,
    size: SizeHint,
}

impl Upload {
    /// The rest of a body.
    pub(crate) fn new<B: RequestSource>(rest: MultipartRest<B>) -> Self {
        let size = rest.size_hint();
        Self { rest: Arc::new(Mutex::new(Some(Box::pin(rest)))), size }
    }

    /// Whether an attempt has begun to send it.
    pub(crate) fn is_taken(&self) -> bool {
        self.rest.lock().is_none()
    }

    /// The whole body: the beginning with its model filled in, then this rest.
    pub(crate) fn behind(&self, beginning: Segments) -> UploadBody {
        UploadBody { beginning: beginning.into_iter(), rest: Arc::clone(&self.rest), taken: None, size: self.size }
    }
}

/// A multipart body as one upstream gets it.
pub(crate) struct UploadBody {
    beginning: Pieces,
    rest: Arc<Mutex<Option<Rest>>>,
    taken: Option<Rest>,
    size: SizeHint,
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.taken.is_none() {
            // From the first byte on, the body is this upstream's.
            this.taken = this.rest.lock().take();
        }
        if let Some(piece) = this.beginning.next() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut this.taken {
            Some(rest) => rest.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.remaining() == 0 && self.taken.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let beginning = self.beginning.remaining();
        let rest = self.taken.as_ref().map_or(self.size, Body::size_hint);
        rest.exact().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(beginning + rest))
    }
}
