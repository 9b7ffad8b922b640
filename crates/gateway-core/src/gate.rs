//! So many at once, and the rest in line: the bound on calls in the process, and on requests at a provider.
//!
//! Whoever leaves hands the place to the next in line, and callers take turns there. Nobody is let into a line that moves too
//! slowly for it: an overload is told at once, when trying elsewhere still helps, and not when the caller's patience is over.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gateway_config::Queue;
use gateway_ratelimit::{FairQueue, Ticket};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::rejection::Rejection;
use crate::settle::Settlement;

mod pace;

use pace::Pace;

/// How much room there is, as the configuration in force has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// How many at once.
    pub(crate) limit: usize,
    /// How many may wait, and for how long.
    pub(crate) queue: Queue,
}

/// There is no room, and none in line that would be of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded {
    /// When there may be room.
    pub(crate) retry_after: Duration,
}

impl Crowded {
    /// There is no room at this moment.
    pub(crate) const NOW: Self = Self { retry_after: Duration::from_secs(1) };
}

/// A bound on how many are inside. It outlives configurations, which may move the bound.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// As of the last one who came.
    limit: usize,
    inside: usize,
    line: FairQueue<Arc<Waiter>>,
    pace: Pace,
}

/// A place inside, left when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
}

/// Somebody in line.
#[derive(Debug, Default)]
struct Waiter(Mutex<Turn>);

#[derive(Debug, Default)]
enum Turn {
    #[default]
    New,
    Waiting(Waker),
    /// The place is the waiter's, who has not taken it yet.
    Come,
    /// Somebody with a better claim has the place in line.
    Lost,
}

impl From<Crowded> for Rejection {
    fn from(Crowded { retry_after }: Crowded) -> Self {
        Self::Overloaded { retry_after }
    }
}

/// Lets a call in, or tells its caller to come back. Its place is the ledger's.
pub(crate) async fn enter(gate: &Arc<Gate>, room: Room, ledger: &mut Settlement) -> Result<(), Rejection> {
    let account = ledger.account();
    let place = ledger.wait_for(gate.enter(room, &account)).await?;
    ledger.occupy(place);
    Ok(())
}

impl Gate {
    /// A gate with nobody inside.
    pub(crate) fn new() -> Arc<Self> {
        let state = State { limit: 0, inside: 0, line: FairQueue::new(0), pace: Pace::default() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// A place, if there is one that nobody waits for.
    pub(crate) fn try_enter(self: &Arc<Self>, room: Room) -> Option<Place> {
        let mut state = self.state.lock();
        state.set(room);
        state.take(Instant::now()).then(|| Place { gate: Arc::clone(self) })
    }

    /// A place, at once or when it is the caller's turn.
    pub(crate) async fn enter(self: &Arc<Self>, room: Room, key: &Arc<str>) -> Result<Place, Crowded> {
        let now = Instant::now();
        let in_line = {
            let mut state = self.state.lock();
            state.set(room);
            if state.take(now) {
                return Ok(Place { gate: Arc::clone(self) });
            }
            self.join(&mut state, room, key, now)?
        };
        in_line.come(now + room.queue.timeout).await
    }

    fn join(self: &Arc<Self>, state: &mut State, room: Room, key: &Arc<str>, now: Instant) -> Result<InLine, Crowded> {
        let wait = state.pace.wait(state.line.turns_before(key) + 1, now);
        let crowded = Crowded { retry_after: wait.clamp(Duration::from_secs(1), Duration::from_mins(1)) };
        // With half of its time to spare, whoever is let in is hardly ever turned away later.
        if wait > room.queue.timeout / 2 {
            return Err(crowded);
        }
        let waiter = Arc::new(Waiter::default());
        let (ticket, evicted) = state.line.push(key, Arc::clone(&waiter)).map_err(|_| crowded)?;
        if let Some(waker) = evicted.and_then(|evicted| evicted.tell(Turn::Lost)) {
            waker.wake();
        }
        Ok(InLine { gate: Arc::clone(self), waiter, ticket: Some(ticket), retry_after: crowded.retry_after })
    }

    /// Gives a place to the next in line, or nobody.
    fn leave(&self) {
        let next = self.state.lock().leave(Instant::now());
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

impl State {
    fn set(&mut self, room: Room) {
        self.limit = room.limit;
        self.line.set_capacity(room.queue.size);
    }

    fn take(&mut self, now: Instant) -> bool {
        let is_free = self.inside < self.limit && self.line.is_empty();
        self.inside += usize::from(is_free);
        if is_free && self.inside == self.limit {
            self.pace.filled(now);
        }
        is_free
    }

    /// Gives a place to the next in line, who has to be woken, or to nobody.
    ///
    /// What the next one is told, it is told under the gate's lock: a waiter that gives up looks for it under the same.
    fn leave(&mut self, now: Instant) -> Option<Waker> {
        if self.inside >= self.limit {
            self.pace.left(now);
        }
        let next = if self.inside <= self.limit { self.line.pop() } else { None };
        match next {
            Some((_, waiter)) => waiter.tell(Turn::Come),
            None => {
                self.inside -= 1;
                None
            }
        }
    }
}

impl Waiter {
    /// Notes how the wait ended; gives who is to be woken for it.
    fn tell(&self, turn: Turn) -> Option<Waker> {
        match std::mem::replace(&mut *self.0.lock(), turn) {
            Turn::Waiting(waker) => Some(waker),
            _ => None,
        }
    }

    /// Whether the place is the waiter's; false if it has lost its own in line.
    fn poll(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut turn = self.0.lock();
        match &*turn {
            Turn::Come => return Poll::Ready(true),
            Turn::Lost => return Poll::Ready(false),
            Turn::New | Turn::Waiting(_) => *turn = Turn::Waiting(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// A place in line, given up when dropped.
struct InLine {
    gate: Arc<Gate>,
    waiter: Arc<Waiter>,
    /// None once the wait is over.
    ticket: Option<Ticket>,
    retry_after: Duration,
}

impl InLine {
    async fn come(mut self, deadline: Instant) -> Result<Place, Crowded> {
        let turn = timeout_at(deadline, poll_fn(|cx| self.waiter.poll(cx))).await;
        if turn == Ok(true) {
            self.ticket = None;
            return Ok(Place { gate: Arc::clone(&self.gate) });
        }
        Err(Crowded { retry_after: self.retry_after })
    }
}

impl Drop for InLine {
    /// The turn may have come between the last look and now; then the place goes on to the next.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        self.gate.state.lock().line.remove(ticket);
        if matches!(*self.waiter.0.lock(), Turn::Come) {
            self.gate.leave();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

#[cfg(test)]
mod tests;
