//! The bound on an HTTP/2 peer that reads nothing of one answer.
//!
//! Such a peer need not block its socket: it grants that stream no window (RFC 9113 section 5.2) and goes on with the
//! others. hyper then waits for window and polls neither the answer's body nor anything else that knows a limit. What is
//! ours is the task that hyper runs for each stream, through its executor; a task whose body handed a piece over and was
//! not asked for the next one in time is ended, which drops the body and resets the stream.

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::TaskTracker;

/// What a body did when its stream's task was last polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was not asked for anything.
    NotAsked,
    /// It handed something over and was not asked for more.
    HandedOver,
    /// It had nothing, for now or any more.
    NothingThere,
}

tokio::task_local! {
    /// The body's word to the task around it. They are in one another and take turns, so nothing has to be shared.
    static STEP: Cell<Step>;
}

/// Tells the task of the stream, if it is one, what its body did.
pub(crate) fn note_step(step: Step) {
    // HTTP/1 bodies are polled outside of any scope; their connection is bounded by its socket.
    let _ = STEP.try_with(|last| last.set(step));
}

/// Runs each HTTP/2 stream in a task that ends when its peer takes nothing for `write_timeout`.
#[derive(Debug, Clone)]
pub(crate) struct StreamExecutor {
    write_timeout: Duration,
    /// All of them: they end behind their connection.
    streams: TaskTracker,
}

impl StreamExecutor {
    pub(crate) fn new(write_timeout: Duration, streams: TaskTracker) -> Self {
        Self { write_timeout, streams }
    }
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let write_timeout = self.write_timeout;
        self.streams.spawn(BoundedStream { stream, write_timeout, waits_since: None, timer: None });
    }
}

pin_project! {
    /// One stream.
    struct BoundedStream<F> {
        #[pin]
        stream: F,
        write_timeout: Duration,
        // When the peer was last offered something, if it did not take it yet.
        waits_since: Option<Instant>,
        // Made for the first peer that does not take everything at once; moved only when it fires.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for BoundedStream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let (polled, step) = STEP.sync_scope(Cell::new(Step::NotAsked), || {
            let polled = this.stream.poll(cx);
            (polled, STEP.with(Cell::get))
        });
        if polled.is_ready() {
            return Poll::Ready(());
        }
        match step {
            Step::NotAsked => {}
            Step::HandedOver => *this.waits_since = Some(Instant::now()),
            Step::NothingThere => *this.waits_since = None,
        }
        let Some(since) = *this.waits_since else { return Poll::Pending };
        ready!(poll_deadline(this.timer, since + *this.write_timeout, cx));
        tracing::debug!("an HTTP/2 peer granted no window for an answer in time; its stream is reset");
        Poll::Ready(())
    }
}

fn poll_deadline(timer: &mut Option<Pin<Box<Sleep>>>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    loop {
        ready!(timer.as_mut().poll(cx));
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
}
