//! What the exchange has to know of a body that its connection sends.
//!
//! The connection owns the body while it is sent, and hyper, for HTTP/2, keeps a failure of it to itself. The state here is
//! shared between the body and the exchange: why the source failed, when it ended, and that nobody wants it any more.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::SourceFailed;
use crate::BoxError;

/// The progress of one streaming request body.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    failure: Mutex<Option<BoxError>>,
    ended: OnceLock<Instant>,
    abandoned: AtomicBool,
    waker: AtomicWaker,
}

impl Upload {
    /// Why the source failed, if it did; the first call takes the reason.
    pub(crate) fn take_failure(&self) -> Option<BoxError> {
        self.failure.lock().take()
    }

    /// Notes that the body is gone: sent whole, or given up.
    pub(super) fn end(&self) {
        // Only the body's drop calls this, so there is no earlier moment to keep.
        let _ = self.ended.set(Instant::now());
    }

    /// When the body was gone, if it is.
    pub(crate) fn ended(&self) -> Option<Instant> {
        self.ended.get().copied()
    }

    /// Makes the body fail at its next poll, which makes an HTTP/2 connection reset its stream: the answer is not wanted any more.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// One step of the source, noted.
    pub(super) fn poll_frame(
        &self,
        body: Pin<&mut (dyn Body<Data = Bytes, Error = BoxError> + Send)>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceFailed>>> {
        self.waker.register(cx.waker());
        if self.abandoned.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err(SourceFailed)));
        }
        body.poll_frame(cx).map(|frame| match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(reason)) => {
                *self.failure.lock() = Some(reason);
                Some(Err(SourceFailed))
            }
            None => None,
        })
    }
}
