//! So many at once, and the rest in line: the bound on calls in the process, and on requests at a provider.
//!
//! Whoever leaves hands the place to the next in line, and callers take turns there. Nobody is let into a line that moves too
//! slowly for it: an overload is told at once, when trying elsewhere still helps, and not when the caller's patience is over.
//!
//! Taking turns is no help against a key that has all places and keeps them, with long streams or with uploads that never end.
//! So the more places a key has, the more it has to leave free (the dynamic thresholds of Choudhury and Hahne, "Dynamic queue
//! length thresholds for shared-memory packet switches", 1998).

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use gateway_config::Queue;
use gateway_ratelimit::{FairQueue, Ticket};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::pace::Pace;

/// A key may take another place as long as it has fewer than this many for each one that is free. One key alone gets 16 of 17
/// places; where there are fewer than that, it may get all of them.
const SHARE: usize = 16;

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
    /// How many of them are each key's.
    held: HashMap<Arc<str>, usize>,
    line: FairQueue<Arc<Waiter>>,
    /// How fast everybody in line moves on.
    pace: Pace,
    /// How fast those of one key do, for keys that have somebody in line. Those who ask for less than their part are hardly
    /// ever seen in line, and take their turns all the same.
    paces: HashMap<Arc<str>, Pace>,
}

/// A place inside, left when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    key: Arc<str>,
}

/// Somebody in line.
#[derive(Debug)]
struct Waiter {
    key: Arc<str>,
    turn: Mutex<Turn>,
}

#[derive(Debug)]
enum Turn {
    New,
    Waiting(Waker),
    /// The place is the waiter's, who has not taken it yet.
    Come,
    /// Somebody with a better claim has the place in line.
    Lost,
}

impl Gate {
    /// A gate with nobody inside.
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            limit: 0,
            inside: 0,
            held: HashMap::new(),
            line: FairQueue::new(0),
            pace: Pace::default(),
            paces: HashMap::new(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// A place, if there is one for this key that nobody waits for.
    pub(crate) fn try_enter(self: &Arc<Self>, room: Room, key: &Arc<str>) -> Option<Place> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let wakers = state.set(room, now);
        let is_inside = state.may_enter(key);
        if is_inside {
            state.admit(key, now);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        is_inside.then(|| Place { gate: Arc::clone(self), key: Arc::clone(key) })
    }

    /// A place, at once or when it is the caller's turn.
    pub(crate) async fn enter(self: &Arc<Self>, room: Room, key: &Arc<str>) -> Result<Place, Crowded> {
        let now = Instant::now();
        if let Some(place) = self.try_enter(room, key) {
            return Ok(place);
        }
        let in_line = self.join(room, key, now)?;
        in_line.come(now + room.queue.timeout).await
    }

    fn join(self: &Arc<Self>, room: Room, key: &Arc<str>, now: Instant) -> Result<InLine, Crowded> {
        let mut state = self.state.lock();
        let wait = state.wait(key, now);
        let crowded = Crowded { retry_after: wait.clamp(Duration::from_secs(1), Duration::from_mins(1)) };
        // With half of its time to spare, whoever is let in is hardly ever turned away later.
        if wait > room.queue.timeout / 2 {
            return Err(crowded);
        }
        let waiter = Arc::new(Waiter { key: Arc::clone(key), turn: Mutex::new(Turn::New) });
        let (ticket, evicted) = state.line.push(key, Arc::clone(&waiter)).map_err(|_| crowded)?;
        state.pace.begin(now);
        state.paces.entry(Arc::clone(key)).or_default().begin(now);
        // Between the last look and this a place may have become free.
        let wakers = state.call_in(now);
        drop(state);
        let evicted = evicted.and_then(|evicted| evicted.tell(Turn::Lost));
        wakers.into_iter().chain(evicted).for_each(Waker::wake);
        Ok(InLine { gate: Arc::clone(self), waiter, ticket: Some(ticket), retry_after: crowded.retry_after })
    }

    /// Gives a place of this key to the next in line, or to nobody.
    fn leave(&self, key: &Arc<str>) {
        let wakers = self.state.lock().leave(key, Instant::now());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Sets how much room there is, and calls in whoever may come in for it.
    fn set(&mut self, room: Room, now: Instant) -> Vec<Waker> {
        self.limit = room.limit;
        self.line.set_capacity(room.queue.size);
        self.call_in(now)
    }

    /// Whether there is a place for another one of this key. Those in line who could have it were called in before.
    fn may_enter(&self, key: &Arc<str>) -> bool {
        has_share(&self.held, self.limit.saturating_sub(self.inside), key)
    }

    fn admit(&mut self, key: &Arc<str>, now: Instant) {
        self.inside += 1;
        match self.held.get_mut(key) {
            Some(held) => *held += 1,
            None => drop(self.held.insert(Arc::clone(key), 1)),
        }
        if self.inside == self.limit {
            self.pace.begin(now);
        }
    }

    fn leave(&mut self, key: &Arc<str>, now: Instant) -> Vec<Waker> {
        self.pace.left(now);
        self.inside -= 1;
        match self.held.get_mut(key) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(self.held.remove(key)),
        }
        self.call_in(now)
    }

    /// The next in line who may enter.
    fn next(&mut self) -> Option<Arc<Waiter>> {
        let (held, free) = (&self.held, self.limit.saturating_sub(self.inside));
        self.line.pop_if(|key| has_share(held, free, key)).map(|(_, waiter)| waiter)
    }

    /// Gives free places to those who are next in line, and returns who has to be woken for it.
    ///
    /// They are told under the gate's lock. A waiter that gives up leaves the line under the same lock, so after that it knows
    /// whether it was called in before.
    fn call_in(&mut self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.inside < self.limit
            && let Some(waiter) = self.next()
        {
            self.admit(&waiter.key, now);
            if let Some(pace) = self.paces.get_mut(&waiter.key) {
                pace.left(now);
            }
            self.forget(&waiter.key);
            wakers.extend(waiter.tell(Turn::Come));
        }
        if self.line.is_empty() && self.inside < self.limit {
            self.pace.end();
        }
        wakers
    }

    /// How long a newcomer of this key would wait, as far as can be told.
    fn wait(&self, key: &Arc<str>, now: Instant) -> Duration {
        let among_all = self.pace.wait(self.line.turns_before(key) + 1, now);
        let own_turns = self.line.waiting(key) + 1;
        let among_its_own = self.paces.get(key).map(|pace| pace.wait_within(own_turns, among_all));
        among_all.max(among_its_own.unwrap_or_default())
    }

    /// Forgets the pace of a key that has nobody in line.
    fn forget(&mut self, key: &Arc<str>) {
        if self.line.waiting(key) == 0 {
            self.paces.remove(key);
        }
    }
}

/// Whether a key has few enough places for another one, with so many free.
fn has_share(held: &HashMap<Arc<str>, usize>, free: usize, key: &Arc<str>) -> bool {
    held.get(key).copied().unwrap_or(0) < free.saturating_mul(SHARE)
}

impl Waiter {
    /// Notes how the wait ended; gives who is to be woken for it.
    fn tell(&self, turn: Turn) -> Option<Waker> {
        match std::mem::replace(&mut *self.turn.lock(), turn) {
            Turn::Waiting(waker) => Some(waker),
            _ => None,
        }
    }

    /// Whether the place is the waiter's; false if it has lost its own in line.
    fn poll(&self, cx: &Context<'_>) -> Poll<bool> {
        let mut turn = self.turn.lock();
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
            return Ok(Place { gate: Arc::clone(&self.gate), key: Arc::clone(&self.waiter.key) });
        }
        Err(Crowded { retry_after: self.retry_after })
    }
}

impl Drop for InLine {
    /// The turn may have come between the last look and now; then the place goes on to the next.
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        {
            let mut state = self.gate.state.lock();
            state.line.remove(ticket);
            state.forget(&self.waiter.key);
        }
        if matches!(*self.waiter.turn.lock(), Turn::Come) {
            self.gate.leave(&self.waiter.key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave(&self.key);
    }
}

#[cfg(test)]
mod tests;
