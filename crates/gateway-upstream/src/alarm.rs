//! One timer for all the waits of an exchange.
//!
//! Registering a tokio timer takes a lock and an allocation, moving an existing one to a later time takes one
//! compare-and-swap. So a connection owns one timer for life, and every wait only moves it. It may go off early (for a
//! wait that is over already), never late: whoever waits looks at the clock before believing it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is moved from wait to wait.
#[derive(Debug)]
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(crate) fn new() -> Self {
        Self(Box::pin(sleep_until(Instant::now())))
    }

    /// Goes off at this moment, and not before.
    pub(crate) fn set(&mut self, at: Instant) {
        self.0.as_mut().reset(at);
    }

    /// Whether the moment last set has passed. Costs one atomic load.
    pub(crate) fn has_rung(&self) -> bool {
        self.0.is_elapsed()
    }

    /// Waits for it. That it has gone off shows also to a task that has used up its turn, as one does whose peer never stops sending.
    pub(crate) fn poll_rung(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_rung() { Poll::Ready(()) } else { self.0.as_mut().poll(cx) }
    }
}

/// The moment `limit` after `start`, but not after `deadline`.
pub(crate) fn within(start: Instant, limit: Duration, deadline: Instant) -> Instant {
    start.checked_add(limit).map_or(deadline, |end| end.min(deadline))
}
