//! Somebody in line, at one gate or at several at once.
//!
//! Every line that a waiter stands in holds the same [`Waiter`], and the waiter's own lock decides which gate gives it its place:
//! the first one that calls it. The others find that out when its turn comes there, and go on to the next; and the waiter leaves
//! their lines as soon as it runs. So no gate ever waits for another, or for a waiter.
//!
//! Locks are taken in one order: a gate's, then a waiter's. Nobody has the locks of two gates at once.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gateway_ratelimit::Ticket;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::line::{Crowded, Gate, Place, Prospect, Room};

/// A gate to wait at, and how much room there is behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entrance<'a> {
    pub(crate) gate: &'a Arc<Gate>,
    pub(crate) room: Room,
    /// When a place there is of no use any more, if not as long as the queue lets wait.
    pub(crate) until: Option<Instant>,
}

impl Entrance<'_> {
    /// When a wait that begins now is over.
    fn closes(&self, now: Instant) -> Instant {
        let patience = now + self.room.queue.timeout;
        self.until.map_or(patience, |until| until.min(patience))
    }
}

/// A place behind one of several gates.
#[derive(Debug)]
pub(crate) struct Found {
    /// Which gate it is, of those that were waited at.
    pub(crate) at: usize,
    pub(crate) place: Place,
}

/// Waits in the lines of several gates, none of which may come twice, for a place behind whichever has one first.
///
/// # Errors
///
/// No line takes another waiter, or none of them has had a place for as long as it was waited in.
pub(crate) async fn wait_at(entrances: &[Entrance<'_>], key: &Arc<str>) -> Result<Found, Crowded> {
    let now = Instant::now();
    let mut in_line = InLine { entrances, waiter: Waiter::new(key, entrances.len()), places: Vec::new() };
    let mut soonest = Duration::MAX;
    for (at, entrance) in entrances.iter().enumerate() {
        let standing = Standing { waiter: Arc::clone(&in_line.waiter), at };
        let Prospect { ticket, wait } = entrance.gate.join(entrance.room, standing, now);
        soonest = soonest.min(wait);
        match ticket {
            Some(ticket) => in_line.places.push(Awaited { at, ticket, until: entrance.closes(now) }),
            None => drop(in_line.waiter.put_out()),
        }
        if in_line.waiter.is_called() {
            break;
        }
    }
    in_line.come().await.ok_or(Crowded::within(soonest))
}

/// A waiter in one of its lines.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) waiter: Arc<Waiter>,
    /// Which of the waiter's gates it is.
    at: usize,
}

impl Standing {
    /// Tells the waiter that it has a place at this gate, unless it has one elsewhere or has given up. Gives the waker, if it
    /// sleeps.
    pub(super) fn call(&self) -> Result<Option<Waker>, Gone> {
        let mut state = self.waiter.state.lock();
        match state.turn {
            Turn::Come(_) | Turn::Over => return Err(Gone),
            Turn::Waiting => state.turn = Turn::Come(self.at),
        }
        Ok(state.waker.take())
    }
}

/// A waiter has no use for a place any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

/// Somebody in line.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) key: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    turn: Turn,
    /// The lines that it stands in, or is about to.
    lines: usize,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Waiting,
    /// A place at the gate of this number is the waiter's, who has not taken it yet.
    Come(usize),
    /// It has what it came for, or has given up.
    Over,
}

impl Waiter {
    fn new(key: &Arc<str>, lines: usize) -> Arc<Self> {
        let state = State { turn: Turn::Waiting, lines, waker: None };
        Arc::new(Self { key: Arc::clone(key), state: Mutex::new(state) })
    }

    /// It has one line less to wait in: somebody with a better claim has its place there, or its time there is over. Gives the
    /// waker if it sleeps and that was its last line.
    pub(super) fn put_out(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        state.lines -= 1;
        if state.lines == 0 { state.waker.take() } else { None }
    }

    fn is_called(&self) -> bool {
        matches!(self.state.lock().turn, Turn::Come(_))
    }

    /// Ready once there is a place, or no line is left to wait in.
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.turn != Turn::Waiting || state.lines == 0 {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ends the wait: from now on nobody calls the waiter. Gives the gate at which it has a place.
    fn end(&self) -> Option<usize> {
        match std::mem::replace(&mut self.state.lock().turn, Turn::Over) {
            Turn::Come(at) => Some(at),
            Turn::Waiting | Turn::Over => None,
        }
    }
}

/// The places of a waiter in its lines, given up when dropped.
struct InLine<'a> {
    entrances: &'a [Entrance<'a>],
    waiter: Arc<Waiter>,
    places: Vec<Awaited>,
}

/// A place in one line.
struct Awaited {
    /// Which of the gates it is.
    at: usize,
    ticket: Ticket,
    /// For how long it is kept.
    until: Instant,
}

impl InLine<'_> {
    async fn come(mut self) -> Option<Found> {
        while let Some(soonest) = self.places.iter().map(|place| place.until).min() {
            if timeout_at(soonest, poll_fn(|cx| self.waiter.poll(cx))).await.is_ok() {
                break;
            }
            self.leave_until(soonest);
        }
        self.take()
    }

    /// Leaves the lines in which the wait is over by then.
    fn leave_until(&mut self, now: Instant) {
        for Awaited { at, ticket, .. } in self.places.extract_if(.., |place| place.until <= now) {
            // Whoever is not there any more has been put out, or called.
            if self.entrances[at].gate.give_up(ticket, &self.waiter.key) {
                drop(self.waiter.put_out());
            }
        }
    }

    /// The place that has come, if one has; then all lines are left for it.
    fn take(&mut self) -> Option<Found> {
        let at = self.waiter.end()?;
        for other in self.places.drain(..).filter(|other| other.at != at) {
            self.entrances[other.at].gate.move_on(other.ticket, &self.waiter.key);
        }
        Some(Found { at, place: Place::new(self.entrances[at].gate, &self.waiter.key) })
    }
}

impl Drop for InLine<'_> {
    /// A place that has come between the last look and now goes on to the next.
    fn drop(&mut self) {
        drop(self.take());
        for Awaited { at, ticket, .. } in self.places.drain(..) {
            self.entrances[at].gate.give_up(ticket, &self.waiter.key);
        }
    }
}

#[cfg(test)]
mod tests;
