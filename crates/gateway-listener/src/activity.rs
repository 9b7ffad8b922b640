//! What one connection is doing, shared by the three that see a part of it: the guard sees heads arrive, the service
//! sees calls begin and end, the supervisor decides by both. Atomics, because HTTP/2 runs calls in tasks of their own.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;

/// How far the bytes of the connection are, as its guard sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// No byte of a first head has arrived.
    Fresh,
    /// A part of a head has arrived.
    MidHead,
    /// A body is arriving, or nothing is.
    PastHead,
    /// Our side is closed; the peer's last bytes are read so that it gets to see our answer.
    Lingering,
}

/// What a connection is doing, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stance {
    /// At least one call runs.
    Busy,
    /// All calls are over, and the peer last took a part of their answers, or was offered it.
    Flushing(Instant),
    /// Nothing has arrived since the connection began.
    Fresh(Instant),
    /// A head began to arrive, or the call before it ended.
    MidHead(Instant),
    /// The last call ended.
    Idle(Instant),
    /// Our side was closed.
    Lingering(Instant),
}

/// The shared record.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    calls: AtomicUsize,
    phase: AtomicU8,
    /// The socket takes no more for now, and something is left to write.
    is_blocked: AtomicBool,
    /// Microseconds from `began` to the last change of phase, progress of a blocked write or end of a call.
    changed: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            calls: AtomicUsize::new(0),
            phase: AtomicU8::new(Phase::Fresh as u8),
            is_blocked: AtomicBool::new(false),
            changed: AtomicU64::new(0),
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.touch();
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Notes whether the peer is slow to take what is written; again whenever it took a part.
    pub(crate) fn note_blocked(&self, is_blocked: bool) {
        self.touch();
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Whether an answer is on its way: closing the connection would lose a part of it.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_calling() || self.is_blocked.load(Ordering::Relaxed)
    }

    fn is_calling(&self) -> bool {
        self.calls.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn stance(&self) -> Stance {
        let phase = self.phase.load(Ordering::Relaxed);
        let since = self.began + Duration::from_micros(self.changed.load(Ordering::Relaxed));
        if phase == Phase::Lingering as u8 {
            Stance::Lingering(since)
        } else if self.is_calling() {
            Stance::Busy
        } else if self.is_blocked.load(Ordering::Relaxed) {
            Stance::Flushing(since)
        } else if phase == Phase::Fresh as u8 {
            Stance::Fresh(since)
        } else if phase == Phase::MidHead as u8 {
            Stance::MidHead(since)
        } else {
            Stance::Idle(since)
        }
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.changed.store(elapsed, Ordering::Relaxed);
    }
}

/// One running call: from the service's call until its answer's body is gone.
#[derive(Debug)]
pub(crate) struct RunningCall(Arc<Activity>);

impl RunningCall {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.touch();
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

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
        NotedFuture { future: self.service.call(request), call: Some(call) }
    }
}

pin_project! {
    /// An answer to come.
    pub(crate) struct NotedFuture<F> {
        #[pin]
        future: F,
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
        let Ok(response) = ready!(this.future.poll(cx));
        let call = this.call.take();
        Poll::Ready(Ok(response.map(|body| NotedBody { body, _call: call })))
    }
}

pin_project! {
    /// An answer's body; hyper drops it when its last byte was taken over, or when the peer is gone.
    pub(crate) struct NotedBody<B> {
        #[pin]
        body: B,
        _call: Option<RunningCall>,
    }
}

impl<B: Body> Body for NotedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
