//! So many at once, and the rest in line: the bound on calls in the process, and on requests at a provider.
//!
//! Whoever leaves hands the place to the next in line, and callers take turns there. Nobody is let into a line that moves too
//! slowly for it: an overload is told at once, when trying elsewhere still helps, and not when the caller's patience is over.
//!
//! Taking turns is no help against a key that has all places and keeps them, with long streams or with uploads that never end.
//! So the more places a key has, the more it has to leave free (the dynamic thresholds of Choudhury and Hahne, "Dynamic queue
//! length thresholds for shared-memory packet switches", 1998).

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use gateway_config::Queue;
use gateway_ratelimit::{FairQueue, Ticket};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::pace::Pace;
use super::waiter::{Entrance, Standing, wait_at};

/// A key may take another place as long as it has fewer than this many for each one that is free. One key alone gets 16 of 17
/// places; where there are fewer than that, it may get all of them.
const SHARE: usize = 16;

/// How much room there is, as the configuration in force has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// There may be room after this wait; never told to be less than a second, or the crowd would come back at once.
    pub(super) fn within(wait: Duration) -> Self {
        Self { retry_after: wait.clamp(Duration::from_secs(1), Duration::from_mins(1)) }
    }
}

/// What a newcomer finds at a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prospect {
    /// Its place in line; none if the line has none that would be of use.
    pub(super) ticket: Option<Ticket>,
    /// How long it has to wait there, as far as can be told.
    pub(super) wait: Duration,
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
    /// How many of them are each key's. Accounts are named by whoever configures keys, not by callers, so a hash that can be
    /// foreseen is good enough.
    held: FxHashMap<Arc<str>, usize>,
    line: FairQueue<Standing>,
    /// How fast everybody in line moves on.
    pace: Pace,
    /// How fast those of one key do, for keys that have somebody in line; forgotten with the last of them, and making room never
    /// puts out the last of a key. Those who ask for less than their part are hardly ever seen in line, and take their turns all
    /// the same.
    paces: FxHashMap<Arc<str>, Pace>,
}

/// A place inside, left when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    key: Arc<str>,
}

impl Gate {
    /// A gate with nobody inside.
    pub(crate) fn new() -> Arc<Self> {
        let state = State {
            limit: 0,
            inside: 0,
            held: FxHashMap::default(),
            line: FairQueue::new(0),
            pace: Pace::default(),
            paces: FxHashMap::default(),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// A place, if there is one for this key that nobody waits for.
    pub(crate) fn try_enter(self: &Arc<Self>, room: Room, key: &Arc<str>) -> Option<Place> {
        let mut state = self.state.lock();
        if state.is_calm(room) {
            state.hold(key);
            drop(state);
            return Some(Place::new(self, key));
        }
        let now = Instant::now();
        let wakers = state.set(room, now);
        let is_inside = state.may_enter(key);
        if is_inside {
            state.admit(key, now);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        is_inside.then(|| Place::new(self, key))
    }

    /// How many places a key has.
    pub(crate) fn held_by(&self, key: &str) -> usize {
        self.state.lock().held.get(key).copied().unwrap_or_default()
    }

    /// How many stand in line.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().line.len()
    }

    /// A place, at once or when it is the caller's turn.
    pub(crate) async fn enter(self: &Arc<Self>, room: Room, key: &Arc<str>) -> Result<Place, Crowded> {
        match self.try_enter(room, key) {
            Some(place) => Ok(place),
            // Boxed, because a line is large to stand in, and few calls do.
            None => {
                Box::pin(async {
                    wait_at(&[Entrance { gate: self, room, until: None }], key).await.map(|entered| entered.place)
                })
                .await
            }
        }
    }

    /// Stands in line, unless the line is too long or too slow.
    pub(super) fn join(&self, room: Room, standing: Standing, now: Instant) -> Prospect {
        let key = Arc::clone(&standing.waiter.key);
        let mut state = self.state.lock();
        let wait = state.wait(&key, now);
        // With half of its time to spare, whoever is let in is hardly ever turned away later.
        let is_worth_it = wait <= room.queue.timeout / 2;
        let Some((ticket, evicted)) = is_worth_it.then(|| state.line.push(&key, standing).ok()).flatten() else {
            return Prospect { ticket: None, wait };
        };
        state.pace.begin(now);
        state.paces.entry(key).or_default().begin(now);
        // Between the last look and this a place may have become free.
        let wakers = state.call_in(now);
        drop(state);
        let evicted = evicted.and_then(|evicted| evicted.waiter.put_out());
        wakers.into_iter().chain(evicted).for_each(Waker::wake);
        Prospect { ticket: Some(ticket), wait }
    }

    /// Leaves the line for a place that was sooner to be had elsewhere. To those behind that is as if it were here.
    pub(super) fn move_on(&self, ticket: Ticket, key: &Arc<str>) {
        let mut state = self.state.lock();
        if state.line.remove(ticket).is_some() {
            state.moved_on(key, Instant::now());
            state.end_wait();
        }
    }

    /// Leaves the line without a place; whether it was still there.
    pub(super) fn give_up(&self, ticket: Ticket, key: &Arc<str>) -> bool {
        let mut state = self.state.lock();
        let was_there = state.line.remove(ticket).is_some();
        if was_there {
            state.forget(key);
            state.end_wait();
        }
        was_there
    }

    /// How many are inside, how many may be, and how many wait.
    #[cfg(test)]
    pub(super) fn count(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        (state.inside, state.limit, state.line.len())
    }

    /// Gives a place of this key to the next in line, or to nobody.
    fn leave(&self, key: &Arc<str>) {
        let mut state = self.state.lock();
        if !state.is_waited_for() {
            return state.let_go(key);
        }
        let wakers = state.leave(key, Instant::now());
        drop(state);
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

    /// Whether there is so much of that room that whoever comes may come in, and nobody has to wait behind it: all that there is
    /// to do then is to count.
    fn is_calm(&self, room: Room) -> bool {
        let leaves_some = self.inside.saturating_add(1) < room.limit;
        // A key that has all of the places still has fewer than this.
        let has_share = self.inside < room.limit.saturating_sub(self.inside).saturating_mul(SHARE);
        leaves_some && has_share && self.limit == room.limit && !self.is_waited_for()
    }

    /// Whether it matters how soon there is a place.
    fn is_waited_for(&self) -> bool {
        !self.line.is_empty() || self.inside >= self.limit
    }

    fn admit(&mut self, key: &Arc<str>, now: Instant) {
        self.hold(key);
        if self.inside == self.limit {
            self.pace.begin(now);
        }
    }

    fn leave(&mut self, key: &Arc<str>, now: Instant) -> Vec<Waker> {
        self.pace.left(now);
        self.let_go(key);
        self.call_in(now)
    }

    /// Counts a place of this key.
    fn hold(&mut self, key: &Arc<str>) {
        self.inside += 1;
        match self.held.get_mut(key) {
            Some(held) => *held += 1,
            None => drop(self.held.insert(Arc::clone(key), 1)),
        }
    }

    /// Counts it no more.
    fn let_go(&mut self, key: &Arc<str>) {
        self.inside -= 1;
        match self.held.get_mut(key) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(self.held.remove(key)),
        }
    }

    /// The next in line who may enter.
    fn next(&mut self) -> Option<Standing> {
        let (held, free) = (&self.held, self.limit.saturating_sub(self.inside));
        self.line.pop_if(|key| has_share(held, free, key)).map(|(_, standing)| standing)
    }

    /// Gives free places to those who are next in line, and returns who has to be woken for it, after the lock is released.
    ///
    /// Whoever gives up ends its wait first and looks then whether it was called: by then it is either told of its place, which it
    /// passes on, or it can no longer be.
    fn call_in(&mut self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.inside < self.limit
            && let Some(standing) = self.next()
        {
            let key = &standing.waiter.key;
            if let Ok(waker) = standing.call() {
                self.admit(key, now);
                self.step_forward(key, now);
                wakers.extend(waker);
            } else {
                self.moved_on(key, now);
            }
        }
        self.end_wait();
        wakers
    }

    /// Notes that nobody waits any more, if that is so.
    fn end_wait(&mut self) {
        if self.line.is_empty() && self.inside < self.limit {
            self.pace.end();
        }
    }

    /// One of this key has left the line for a place elsewhere.
    fn moved_on(&mut self, key: &Arc<str>, now: Instant) {
        self.pace.left(now);
        self.step_forward(key, now);
    }

    /// The line of this key has become shorter by one who has a place.
    fn step_forward(&mut self, key: &Arc<str>, now: Instant) {
        if let Some(pace) = self.paces.get_mut(key) {
            pace.left(now);
        }
        self.forget(key);
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
fn has_share(held: &FxHashMap<Arc<str>, usize>, free: usize, key: &Arc<str>) -> bool {
    held.get(key).copied().unwrap_or(0) < free.saturating_mul(SHARE)
}

impl Place {
    /// A place that the gate has given to this key.
    pub(super) fn new(gate: &Arc<Gate>, key: &Arc<str>) -> Self {
        Self { gate: Arc::clone(gate), key: Arc::clone(key) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave(&self.key);
    }
}

#[cfg(test)]
mod tests;
