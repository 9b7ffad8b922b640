//! A body as it comes off the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::alarm::within;
use crate::connection::Link;
use crate::pool::Pool;
use crate::request::Upload;
use crate::{UpstreamError, UpstreamErrorKind};

/// A body with the connection it comes from.
pub(crate) struct Received {
    /// None once the whole answer was read, or has failed.
    hold: Option<Hold>,
    idle: Option<Duration>,
    deadline: Instant,
    /// The end of patience with the present wait; none before there is one.
    wait_ends: Option<Instant>,
}

/// What a body holds until its end.
pub(crate) struct Hold {
    pub(crate) link: Link,
    pub(crate) pool: Arc<Pool>,
    pub(crate) upload: Option<Arc<Upload>>,
}

impl Hold {
    /// Gives the connection back after a complete answer.
    fn release(self) {
        if self.is_sending() {
            // The answer came before the request was sent whole; the rest would be sent for nothing.
            self.abandon();
        } else if let Link::H1(connection) = self.link {
            self.pool.put_back(connection, Instant::now());
        }
    }

    /// Closes the connection, or resets its stream, before the end of the answer.
    fn abandon(self) {
        // An upload that still runs would keep an HTTP/2 stream open behind the caller's back.
        if let Some(upload) = &self.upload {
            upload.abandon();
        }
    }

    fn is_sending(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.ended().is_none())
    }
}

impl Received {
    pub(crate) fn new(hold: Hold, deadline: Instant) -> Self {
        let mut received = Self { hold: Some(hold), idle: None, deadline, wait_ends: None };
        received.release_at_end();
        received
    }

    pub(crate) fn set_idle(&mut self, idle: Duration) {
        self.idle = Some(idle);
        self.wait_ends = None;
    }

    /// Some readers stop when the announced length is reached and never ask for the end, so this looks after each part.
    fn release_at_end(&mut self) {
        if self.hold.as_ref().is_some_and(|hold| hold.link.is_over()) {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.release();
        }
    }

    fn abandon(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.abandon();
        }
    }

    /// Ends the body with an error, and drops the connection.
    fn fail(&mut self, error: UpstreamError) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.abandon();
        Poll::Ready(Some(Err(error)))
    }

    /// Waits for the end of patience: the idle timeout or the deadline, whichever is first.
    fn poll_impatience(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamErrorKind> {
        let Some(hold) = &mut self.hold else { return Poll::Pending };
        let (now, idle, deadline) = (Instant::now(), self.idle, self.deadline);
        let end = || idle.map_or(deadline, |idle| within(now, idle, deadline));
        let end = *self.wait_ends.get_or_insert_with(end);
        ready!(hold.link.alarm().poll_until(end, now, cx));
        Poll::Ready(if end == deadline { UpstreamErrorKind::TotalTimeout } else { UpstreamErrorKind::IdleTimeout })
    }

    /// Whether the deadline passed although there is always something to read. Who has waited has looked at the time.
    fn is_overdue(&self) -> bool {
        self.wait_ends.is_none() && Instant::now() >= self.deadline
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        let Some(hold) = &mut this.hold else { return Poll::Ready(None) };
        match hold.link.poll_data(cx) {
            Poll::Ready(Some(Ok(_))) if this.is_overdue() => {
                this.fail(UpstreamError::new(UpstreamErrorKind::TotalTimeout))
            }
            Poll::Ready(Some(Ok(data))) => {
                this.wait_ends = None;
                this.release_at_end();
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Some(Err(error))) => this.fail(error),
            Poll::Ready(None) => {
                this.release();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let kind = ready!(this.poll_impatience(cx));
                this.fail(UpstreamError::new(kind))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.hold.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.hold.as_ref().map_or(SizeHint::with_exact(0), |hold| hold.link.size_hint())
    }
}
