//! The caller's service as the connection runs it: its calls are noted from their beginning until hyper is done with the
//! answer's body.
//!
//! HTTP/1 takes over a body's data as it comes, and what is left of it keeps the socket blocked. HTTP/2 would hold any
//! amount of it for a peer that grants no window, with the call over and the socket free; so there data is handed over
//! in pieces, the next one when the one before fits into the window.
//!
//! An error of a body cuts the connection, and with it what hyper has gathered but not written yet. It may come with the
//! last data, so it is held back for as long as hyper tries once to write that; a peer whose socket is full loses the rest. Over
//! HTTP/2 the connection is another task, and whether data leaves ahead of the reset depends on which of them is next.
//! A body that fails before it has any data is no answer, and cuts the head as well.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::Service;
use hyper::{Request, Response, Version};
use pin_project_lite::pin_project;

use crate::activity::{Activity, RunningCall};
use crate::multiplexed::{Step, note_step};

/// The largest DATA frame that every HTTP/2 peer accepts (RFC 9113 section 6.5.2); larger data would be split into
/// frames of this size anyway.
const HTTP2_PIECE: usize = 16 * 1024;

/// Any error of a body, which cuts its connection.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The caller's service, with its calls noted.
#[derive(Debug)]
pub(crate) struct NotedService<S> {
    service: S,
    activity: Arc<Activity>,
}

impl<S> NotedService<S> {
    pub(crate) fn new(service: S, activity: Arc<Activity>) -> Self {
        Self { service, activity }
    }
}

impl<S, B> Service<Request<Incoming>> for NotedService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    type Response = Response<NotedBody<B>>;
    type Error = Infallible;
    type Future = NotedFuture<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let call = RunningCall::begin(&self.activity);
        let piece = if request.version() == Version::HTTP_2 { HTTP2_PIECE } else { usize::MAX };
        NotedFuture { future: self.service.call(request), piece, call: Some(call) }
    }
}

pin_project! {
    /// An answer to come.
    pub(crate) struct NotedFuture<F> {
        #[pin]
        future: F,
        piece: usize,
        call: Option<RunningCall>,
    }
}

impl<F, B> Future for NotedFuture<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<NotedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.future.poll(cx));
        let (call, piece) = (this.call.take(), *this.piece);
        // hyper would have to be told while it runs the call, and a call that is answered at once leaves no such time.
        if call.as_ref().is_some_and(RunningCall::is_last) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let noted =
            |body| NotedBody { body, rest: Bytes::new(), piece, is_unwritten: false, failure: None, _call: call };
        Poll::Ready(Ok(response.map(noted)))
    }
}

pin_project! {
    /// An answer's body; hyper drops it when its last byte was taken over, or when the peer is gone.
    pub(crate) struct NotedBody<B> {
        #[pin]
        body: B,
        // Data of the body that was not handed over yet.
        rest: Bytes,
        piece: usize,
        // Whether hyper may have gathered data that it has not written.
        is_unwritten: bool,
        failure: Option<BoxError>,
        _call: Option<RunningCall>,
    }
}

impl<B> Body for NotedBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let (rest, piece) = (this.rest, *this.piece);
        if !rest.is_empty() {
            note_step(Step::HandedOver);
            return Poll::Ready(Some(Ok(Frame::data(split_piece(rest, piece)))));
        }
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let polled = this.body.poll_frame(cx).map_err(Into::into);
        note_step(if matches!(polled, Poll::Ready(Some(Ok(_)))) { Step::HandedOver } else { Step::NothingThere });
        match polled {
            Poll::Ready(Some(Err(failure))) if *this.is_unwritten => {
                *this.failure = Some(failure);
                // hyper writes when there is nothing more to gather, and is to ask again at once.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            _ => *this.is_unwritten = polled.is_ready(),
        }
        polled.map_ok(|frame| {
            frame.map_data(|mut data| {
                *rest = data.copy_to_bytes(data.remaining());
                split_piece(rest, piece)
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.failure.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.remaining() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

fn split_piece(rest: &mut Bytes, piece: usize) -> Bytes {
    rest.split_to(rest.len().min(piece))
}
