//! Every clock of a connection in one place, and the drain.
//!
//! A connection is in one stance at a time and each stance has one deadline, so one lazily moved timer serves them
//! all. hyper's own header timeout stays off: it also counts the idle time before a head.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::HeadLimits;
use crate::activity::{Activity, Stance};
use crate::connection::ConnectionEnd;
use crate::drain::{Drain, DrainLimits};

/// How long a closed connection is read from so that the peer sees the answer rather than a reset, and how long a
/// retired HTTP/2 peer has to acknowledge its GOAWAY.
const LINGER: Duration = Duration::from_secs(2);

/// What is to be done with the connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    Keep,
    /// Take no further call, finish the running ones, close.
    Retire,
    /// Close at once.
    Cut,
}

/// Watches one connection; lives in its task. The limits stay where they are: copies between what every poll looks at would take
/// up two lines of cache.
pub(crate) struct Supervisor<'a> {
    activity: Arc<Activity>,
    limits: &'a HeadLimits,
    timer: Pin<Box<Sleep>>,
    drain: Drain,
    drain_signal: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Who is woken by the signal.
    waits_for_drain: Option<Waker>,
    drain_limits: &'a DrainLimits,
    draining_since: Option<Instant>,
    retired_at: Option<Instant>,
    was_busy_at_drain: bool,
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(
        activity: Arc<Activity>,
        limits: &'a HeadLimits,
        drain: Drain,
        drain_limits: &'a DrainLimits,
    ) -> Self {
        Self {
            activity,
            limits,
            timer: Box::pin(sleep_until(Instant::now() + limits.header_timeout)),
            drain_signal: Box::pin(drain.signal()),
            waits_for_drain: None,
            drain,
            drain_limits,
            draining_since: None,
            retired_at: None,
            was_busy_at_drain: false,
        }
    }

    /// How a connection that ends now has ended.
    ///
    /// One that ended by itself was not cut, even if a call seems to run: HTTP/2 calls are tasks of their own, and the
    /// last one may notice its end a moment after its connection.
    pub(crate) fn end(&self, was_cut: bool) -> ConnectionEnd {
        match self.draining_since {
            Some(_) if was_cut && self.activity.is_busy() => ConnectionEnd::CallsCut,
            Some(_) if self.was_busy_at_drain => ConnectionEnd::CallsFinished,
            _ => ConnectionEnd::Closed,
        }
    }

    /// Looks whether the drain began, and arranges to be polled when it does. Done ahead of the connection's own work,
    /// so that a call which ends in the same moment still counts as running, and its answer announces the close.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) {
        if self.draining_since.is_some() {
            return;
        }
        // A task that waits for the signal need not be put in line again, which takes two locks, 2 % of a frame's time.
        if !self.waits_for_drain.as_ref().is_some_and(|waiting| waiting.will_wake(cx.waker())) {
            let _ = self.drain_signal.as_mut().poll(cx);
            self.waits_for_drain = Some(cx.waker().clone());
        }
        // The moment is set before the signal is given.
        self.draining_since = self.drain.began();
        if self.draining_since.is_some() {
            self.was_busy_at_drain = self.activity.is_busy();
            self.activity.begin_drain();
        }
    }

    /// The order for now; arranges to be polled again when it may change.
    pub(crate) fn poll_order(&mut self, cx: &mut Context<'_>) -> Order {
        let stance = self.activity.stance();
        // GOAWAY loses nothing: hyper names no last stream in it until the peer has seen it (RFC 9113 section 6.8).
        // HTTP/1 has no such word but the answer to a next request, so there the next request is waited for.
        if self.draining_since.is_some() && self.retired_at.is_none() && self.activity.is_multiplexed() {
            return self.retire();
        }
        let (deadline, order) = self.bounded_by_drain(self.deadline(stance));
        match self.poll_timer(cx, deadline) {
            Poll::Pending => Order::Keep,
            Poll::Ready(()) if order == Order::Retire => self.retire(),
            Poll::Ready(()) => order,
        }
    }

    fn retire(&mut self) -> Order {
        self.retired_at = Some(Instant::now());
        Order::Retire
    }

    /// When the stance has lasted too long, and what follows.
    ///
    /// A busy connection has no deadline: its calls bound themselves. A blocked one has, also with calls: hyper asks for
    /// no more of their answers until it can write, so no limit within them is looked at.
    fn deadline(&self, stance: Stance) -> (Option<Instant>, Order) {
        match (stance, self.draining_since, self.retired_at) {
            (Stance::Busy, _, _) => (None, Order::Keep),
            (Stance::Blocked(since), _, _) => (Some(since + self.limits.write_timeout), Order::Cut),
            (Stance::Fresh(since), Some(draining), _) => {
                let grace = self.drain_limits.fresh_grace();
                (Some((since + self.limits.header_timeout).min(since.max(draining) + grace)), Order::Cut)
            }
            (Stance::Fresh(since) | Stance::MidHead(since), _, _) => {
                (Some(since + self.limits.header_timeout), Order::Cut)
            }
            (Stance::Idle(since), _, Some(retired)) => (Some(since.max(retired) + LINGER), Order::Cut),
            (Stance::Idle(since), Some(draining), None) => {
                let grace = self.drain_limits.idle_grace;
                (Some((since + self.limits.keep_alive).min(since.max(draining) + grace)), Order::Retire)
            }
            (Stance::Idle(since), None, None) => (Some(since + self.limits.keep_alive), Order::Retire),
            (Stance::Lingering(since), _, _) => (Some(since + LINGER), Order::Cut),
        }
    }

    /// The same, but no later than the end of the drain.
    fn bounded_by_drain(&self, (deadline, order): (Option<Instant>, Order)) -> (Option<Instant>, Order) {
        match self.draining_since.map(|since| since + self.drain_limits.timeout) {
            Some(end) if deadline.is_none_or(|deadline| end < deadline) => (Some(end), Order::Cut),
            _ => (deadline, order),
        }
    }

    /// Ready when `deadline` is over. The timer is only ever moved when it is late or has fired, so that a connection
    /// which goes from call to call does not touch it.
    fn poll_timer(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            // HTTP/2 calls end in other tasks, so a busy connection of theirs is looked at again now and then. HTTP/1 calls end in
            // this one.
            if self.activity.is_multiplexed() {
                if self.timer.is_elapsed() {
                    self.timer.as_mut().reset(Instant::now() + self.limits.keep_alive);
                }
                // Polled to be woken, also by a timer that runs since before the first call; a limit of zero is over already and needs
                // no second look.
                let _ = self.timer.as_mut().poll(cx);
            }
            return Poll::Pending;
        };
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
