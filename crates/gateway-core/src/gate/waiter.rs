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
/// No line takes another waiter, or the longest time has passed that any of them allows.
pub(crate) async fn wait_at(entrances: &[Entrance<'_>], key: &Arc<str>) -> Result<Found, Crowded> {
    let now = Instant::now();
    let mut in_line = InLine { entrances, waiter: Waiter::new(key, entrances.len()), tickets: Vec::new() };
    let mut soonest = Duration::MAX;
    for (at, Entrance { gate, room }) in entrances.iter().enumerate() {
        let Prospect { ticket, wait } = gate.join(*room, Standing { waiter: Arc::clone(&in_line.waiter), at }, now);
        soonest = soonest.min(wait);
        match ticket {
            Some(ticket) => in_line.tickets.push((at, ticket)),
            None => drop(in_line.waiter.put_out()),
        }
        if in_line.waiter.is_called() {
            break;
        }
    }
    let patience = entrances.iter().map(|entrance| entrance.room.queue.timeout).max().unwrap_or_default();
    in_line.come(now + patience).await.ok_or(Crowded::within(soonest))
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

    /// Somebody with a better claim has its place in one line. Gives the waker if it sleeps and that was its last line.
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
    tickets: Vec<(usize, Ticket)>,
}

impl InLine<'_> {
    async fn come(mut self, deadline: Instant) -> Option<Found> {
        // Whether the time is over or not: what counts is whether a place has come.
        let _ = timeout_at(deadline, poll_fn(|cx| self.waiter.poll(cx))).await;
        self.take()
    }

    /// The place that has come, if one has; then all lines are left for it.
    fn take(&mut self) -> Option<Found> {
        let at = self.waiter.end()?;
        for (other, ticket) in self.tickets.drain(..).filter(|(other, _)| *other != at) {
            self.entrances[other].gate.move_on(ticket, &self.waiter.key);
        }
        Some(Found { at, place: Place::new(self.entrances[at].gate, &self.waiter.key) })
    }
}

impl Drop for InLine<'_> {
    /// A place that has come between the last look and now goes on to the next.
    fn drop(&mut self) {
        drop(self.take());
        for (at, ticket) in self.tickets.drain(..) {
            self.entrances[at].gate.give_up(ticket, &self.waiter.key);
        }
    }
}

#[cfg(test)]
mod tests;
