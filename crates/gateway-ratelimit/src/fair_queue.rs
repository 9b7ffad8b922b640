//! Who goes next when there is no room: callers take turns, however much each of them wants.
//!
//! Every key has a line of its own, and the lines take turns (round robin; Nagle, RFC 970, 1985). So whoever floods the queue
//! waits in a long line, and everybody else in a short one. The same holds for places: when the queue is full, whoever has
//! more than others gives way.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// A bounded queue in which keys take turns.
///
/// With `k` keys waiting, the `m`-th waiter of a key is served within `m * k` turns. Within a key, the first comes first.
/// Nothing here waits or knows the time: whoever gives up is taken out with [`FairQueue::remove`].
#[derive(Debug)]
pub struct FairQueue<W> {
    capacity: usize,
    next: u64,
    /// The waiters of each key that has any, by when they came.
    lines: HashMap<Arc<str>, BTreeMap<Ticket, W>>,
    /// The keys that have waiters, the one whose turn it is first.
    turns: VecDeque<Arc<str>>,
    /// Whose line each waiter is in.
    keys: HashMap<Ticket, Arc<str>>,
}

/// A place in the queue. Later waiters have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// There is no place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl<W> FairQueue<W> {
    /// An empty queue in which so many can wait. With a capacity of 0 everybody is refused.
    pub fn new(capacity: usize) -> Self {
        let (lines, turns, keys) = (HashMap::new(), VecDeque::new(), HashMap::new());
        Self { capacity, next: 0, lines, turns, keys }
    }

    /// Changes how many may wait. Those beyond a lower number stay, and their number does not grow.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Lets someone wait.
    ///
    /// If the queue is full, the newest waiter of the key with the most of them is put out to make room and returned, but
    /// only if the newcomer's key has fewer even then; otherwise the newcomer is refused. So places move towards equal shares
    /// and nobody is put out for someone who is no worse off.
    pub fn push(&mut self, key: &Arc<str>, waiter: W) -> Result<(Ticket, Option<W>), Refused> {
        let evicted = if self.len() < self.capacity { None } else { Some(self.make_room(key).ok_or(Refused)?) };
        let ticket = Ticket(self.next);
        self.next += 1;
        self.keys.insert(ticket, Arc::clone(key));
        let line = self.lines.entry(Arc::clone(key)).or_default();
        if line.is_empty() {
            self.turns.push_back(Arc::clone(key));
        }
        line.insert(ticket, waiter);
        Ok((ticket, evicted))
    }

    /// Takes out the first waiter of the key whose turn it is; then it is the next key's turn.
    pub fn pop(&mut self) -> Option<(Ticket, W)> {
        self.pop_if(|_| true)
    }

    /// The same, but a key that may not go keeps its turn, and it is that of the next one who may.
    pub fn pop_if(&mut self, mut may_go: impl FnMut(&Arc<str>) -> bool) -> Option<(Ticket, W)> {
        let turn = self.turns.iter().position(&mut may_go)?;
        let key = self.turns.remove(turn)?;
        let line = self.lines.get_mut(&key)?;
        let (ticket, waiter) = line.pop_first()?;
        self.keys.remove(&ticket);
        if line.is_empty() {
            self.lines.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        Some((ticket, waiter))
    }

    /// Takes out someone who waits no longer. None if they have left the queue already.
    pub fn remove(&mut self, ticket: Ticket) -> Option<W> {
        let key = self.keys.remove(&ticket)?;
        let line = self.lines.get_mut(&key)?;
        let waiter = line.remove(&ticket);
        if line.is_empty() {
            self.lines.remove(&key);
            self.turns.retain(|turn| *turn != key);
        }
        waiter
    }

    /// How many would be taken out before a newcomer of this key, if nobody else came and nobody gave up.
    pub fn turns_before(&self, key: &str) -> usize {
        let own = self.waiting(key);
        let mut turns_of_others = own + 1;
        let mut before = own;
        for other in &self.turns {
            if **other == *key {
                // Whoever is behind it in the round has one turn fewer.
                turns_of_others = own;
            } else {
                before += self.waiting(other).min(turns_of_others);
            }
        }
        before
    }

    /// How many wait under a key.
    pub fn waiting(&self, key: &str) -> usize {
        self.lines.get(key).map_or(0, BTreeMap::len)
    }

    /// Puts someone out in favour of a newcomer of this key, if that is fair. Nobody's line becomes empty by that.
    fn make_room(&mut self, key: &str) -> Option<W> {
        let newest_of_longest = self
            .lines
            .values()
            .map(|line| (line.len(), line.last_key_value()))
            .max_by_key(|(length, newest)| (*length, newest.map(|(ticket, _)| *ticket)));
        let (longest, newest) = newest_of_longest?;
        let ticket = newest.map(|(ticket, _)| *ticket)?;
        if self.waiting(key) + 1 < longest { self.remove(ticket) } else { None }
    }
}

#[cfg(test)]
mod tests;
