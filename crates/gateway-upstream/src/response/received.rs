//! A body as it comes off the connection.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::alarm::within;
use crate::connection::Link;
use crate::pool::Pool;
use crate::request::Upload;
use crate::{UpstreamError, UpstreamErrorKind};

/// A body with the connection it comes from.
pub(crate) struct Received {
    incoming: Incoming,
    hold: Option<Hold>,
    idle: Option<Duration>,
    deadline: Instant,
    /// Whether the alarm stands for the present wait.
    waiting: bool,
    failed: bool,
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
    pub(crate) fn new(incoming: Incoming, hold: Hold, deadline: Instant) -> Self {
        let mut received = Self { incoming, hold: Some(hold), idle: None, deadline, waiting: false, failed: false };
        received.release_at_end();
        received
    }

    pub(crate) fn set_idle(&mut self, idle: Duration) {
        self.idle = Some(idle);
        self.waiting = false;
    }

    /// Some readers stop when the announced length is reached and never ask for the end, so this looks after each part.
    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
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
        self.failed = true;
        self.abandon();
        Poll::Ready(Some(Err(error)))
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut incoming = Pin::new(&mut self.incoming);
        match &mut self.hold {
            Some(hold) => hold.link.take(cx, |cx| incoming.as_mut().poll_frame(cx)),
            // The last of it is there.
            None => incoming.poll_frame(cx),
        }
    }

    /// Waits for the end of patience: the idle timeout or the deadline, whichever is first.
    fn poll_impatience(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamErrorKind> {
        // Without a hold the answer is complete, and its end only has to be noticed.
        let Some(hold) = &mut self.hold else { return Poll::Pending };
        let alarm = hold.link.alarm();
        if !self.waiting {
            let now = Instant::now();
            alarm.set(self.idle.map_or(self.deadline, |idle| within(now, idle, self.deadline)));
            self.waiting = true;
        }
        ready!(alarm.poll_ring(cx));
        let past_deadline = Instant::now() >= self.deadline;
        Poll::Ready(if past_deadline { UpstreamErrorKind::TotalTimeout } else { UpstreamErrorKind::IdleTimeout })
    }

    /// Whether the deadline passed although there is always something to read.
    fn is_overdue(&mut self) -> bool {
        let Some(hold) = &mut self.hold else { return false };
        hold.link.alarm().has_rung() && Instant::now() >= self.deadline
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
        if this.failed {
            return Poll::Ready(None);
        }
        match this.poll_incoming(cx) {
            Poll::Ready(Some(Ok(_))) if this.is_overdue() => {
                this.fail(UpstreamError::new(UpstreamErrorKind::TotalTimeout))
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = false;
                this.release_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let kind = kind_of(&error);
                this.fail(UpstreamError::with_source(kind, error))
            }
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
        self.failed || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Whether a body was cut, or is framed in a way that HTTP does not know.
fn kind_of(error: &hyper::Error) -> UpstreamErrorKind {
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    // This is how hyper's decoder of chunks reports what it cannot read; a cut is `UnexpectedEof`.
    let is_malformed =
        io.is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
    if is_malformed { UpstreamErrorKind::Protocol } else { UpstreamErrorKind::BodyReset }
}
