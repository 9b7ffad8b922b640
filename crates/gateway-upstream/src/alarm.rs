//! One timer for all the waits of an exchange.
//!
//! Registering a tokio timer takes a lock and an allocation, and even to move one or to ask it touches memory that nothing
//! else of a frame does. So an HTTP/1 connection owns one timer for life, a stream of HTTP/2 one for its exchange, and a wait leaves
//! it alone as long as it goes off before the wait is over and wakes who waits. It then goes off too early, at most once in the length
//! of a wait, and is moved.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is moved from wait to wait.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: Pin<Box<Sleep>>,
    goes_off: Instant,
    /// Who is woken by it.
    wakes: Option<Waker>,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { timer: Box::pin(sleep_until(now)), goes_off: now, wakes: None }
    }

    /// Ready once `end` has passed. `now` has to be read in this poll: an older one would let a timer that has gone off count as
    /// running.
    pub(crate) fn poll_until(&mut self, end: Instant, mut now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        while now < end {
            if now < self.goes_off && self.goes_off <= end {
                if self.wakes.as_ref().is_some_and(|wakes| wakes.will_wake(cx.waker())) {
                    return Poll::Pending;
                }
            } else {
                self.timer.as_mut().reset(end);
                self.goes_off = end;
            }
            // A task that has used up its turn would not get to the timer, and not be woken by it.
            if pin!(unconstrained(self.timer.as_mut())).poll(cx).is_pending() {
                self.wakes = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.wakes = None;
            now = Instant::now();
        }
        Poll::Ready(())
    }

    /// Lets go of who has waited last, whom the timer would hold on to until it goes off.
    pub(crate) fn wake_nobody(&mut self) {
        if self.wakes.take().is_some() {
            let _ = pin!(unconstrained(self.timer.as_mut())).poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// The moment `limit` after `start`, but not after `deadline`.
pub(crate) fn within(start: Instant, limit: Duration, deadline: Instant) -> Instant {
    start.checked_add(limit).map_or(deadline, |end| end.min(deadline))
}

#[cfg(test)]
mod tests;
