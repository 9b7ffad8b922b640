//! Where the time of a call goes.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// The time of one call, of which the gateway answers for what it did not wait for others.
#[derive(Debug)]
pub(super) struct Stopwatch {
    started: Instant,
    waited: Duration,
    /// Since when the call waits for what is not in the gateway's hands.
    waiting: Option<Instant>,
    /// What was spent in the gateway itself until the answer's head left, once it has.
    overhead: Option<Duration>,
    first_byte: Option<Duration>,
}

impl Stopwatch {
    /// That of a call whose head arrived then.
    pub(super) fn start(started: Instant) -> Self {
        Self { started, waited: Duration::ZERO, waiting: None, overhead: None, first_byte: None }
    }

    /// When the request's head arrived.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// How long the call has taken so far.
    pub(super) fn elapsed(&self) -> Duration {
        clock::read().saturating_duration_since(self.started)
    }

    /// From here on the call waits, unless it does already, until [`end_wait`](Self::end_wait).
    pub(super) fn begin_wait(&mut self) {
        self.waiting.get_or_insert_with(clock::read);
    }

    /// Counts a wait as one that began then, unless one has begun already.
    pub(super) fn has_waited_since(&mut self, since: Option<Instant>) {
        self.waiting = self.waiting.or(since);
    }

    /// Counts the wait that is over, or that the caller has put an end to.
    pub(super) fn end_wait(&mut self) {
        self.waited +=
            self.waiting.take().map_or(Duration::ZERO, |since| clock::now().saturating_duration_since(since));
    }

    /// Counts time that was not in the gateway's hands.
    pub(super) fn note_wait(&mut self, waited: Duration) {
        self.waited += waited;
    }

    /// Notes that the head of the answer is about to leave; returns the time spent in the gateway itself.
    pub(super) fn note_head(&mut self) -> Duration {
        let overhead = self.elapsed().saturating_sub(self.waited);
        self.overhead = Some(overhead);
        overhead
    }

    /// Notes that the first bytes of the answer's body leave.
    pub(super) fn note_first_byte(&mut self) {
        self.first_byte = Some(clock::now().saturating_duration_since(self.started));
    }

    /// From the request's head to the first byte of the answer's body, where there was one.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    /// The time spent in the gateway itself, of a call that took so long in all.
    pub(super) fn overhead(&self, duration: Duration) -> Duration {
        self.overhead.unwrap_or_else(|| duration.saturating_sub(self.waited))
    }
}
