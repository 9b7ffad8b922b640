//! Who goes next when there is no room: callers take turns, however much each of them wants.
//!
//! Every key has a line of its own, and the lines take turns (round robin; Nagle, RFC 970, 1985). So whoever floods the queue
//! waits in a long line, and everybody else in a short one. The same holds for places: when the queue is full, whoever has
//! more than others gives way.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A bounded queue in which keys take turns.
///
/// With `k` keys waiting, the `m`-th waiter of a key is served within `m * k` turns. Within a key, the first comes first.
/// Nothing here waits or knows the time: whoever gives up is taken out with [`FairQueue::remove`].
///
/// Lines are longest when there is the least time for them, so nothing here goes through all keys, but for [`FairQueue::pop_if`]
/// as far as keys may not go. Everything else takes as many steps as the logarithm of the number of keys, or as it says.
#[derive(Debug)]
pub struct FairQueue<W> {
    capacity: usize,
    next: u64,
    /// The line of each key that has waiters.
    lines: HashMap<Arc<str>, Line<W>>,
    /// The keys that have waiters, the one whose turn it is first.
    turns: BTreeMap<Turn, Arc<str>>,
    /// The turns of the same keys, by how many waiters they have and the newest of these.
    lengths: BTreeMap<(usize, Ticket), Turn>,
    /// Whose line each waiter is in.
    keys: HashMap<Ticket, Arc<str>>,
}

/// The waiters of one key, by when they came; at least one.
#[derive(Debug)]
struct Line<W> {
    turn: Turn,
    waiters: BTreeMap<Ticket, W>,
}

impl<W> Line<W> {
    /// Where the line stands among all lines; none if nobody waits in it.
    fn length(&self) -> Option<(usize, Ticket)> {
        self.waiters.last_key_value().map(|(newest, _)| (self.waiters.len(), *newest))
    }
}

/// When it is a key's turn: later ones have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn(u64);

/// A place in the queue. Later waiters have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// There is no place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl<W> FairQueue<W> {
    /// An empty queue in which so many can wait. With a capacity of 0 everybody is refused.
    pub fn new(capacity: usize) -> Self {
        let (lines, turns) = (HashMap::new(), BTreeMap::new());
        Self { capacity, next: 0, lines, turns, lengths: BTreeMap::new(), keys: HashMap::new() }
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
        let mut line = self.take_line(key).unwrap_or_else(|| self.new_line());
        line.waiters.insert(ticket, waiter);
        self.put_line(key, line);
        Ok((ticket, evicted))
    }

    /// Takes out the first waiter of the key whose turn it is; then it is the next key's turn.
    pub fn pop(&mut self) -> Option<(Ticket, W)> {
        self.pop_if(|_| true)
    }

    /// The same, but a key that may not go keeps its turn, and it is that of the next one who may.
    pub fn pop_if(&mut self, mut may_go: impl FnMut(&Arc<str>) -> bool) -> Option<(Ticket, W)> {
        let key = self.turns.values().find(|key| may_go(key)).map(Arc::clone)?;
        let mut line = self.take_line(&key)?;
        let (ticket, waiter) = line.waiters.pop_first()?;
        self.keys.remove(&ticket);
        line.turn = self.next_turn();
        self.put_line(&key, line);
        Some((ticket, waiter))
    }

    /// Takes out someone who waits no longer. None if they have left the queue already.
    pub fn remove(&mut self, ticket: Ticket) -> Option<W> {
        let key = self.keys.remove(&ticket)?;
        let mut line = self.take_line(&key)?;
        let waiter = line.waiters.remove(&ticket);
        self.put_line(&key, line);
        waiter
    }

    /// How many would be taken out before a newcomer of this key, if nobody else came and nobody gave up.
    ///
    /// For a key that nobody waits under it takes a constant time; for others a step for each key that more wait under.
    pub fn turns_before(&self, key: &str) -> usize {
        let Some(line) = self.lines.get(key) else { return self.turns.len() };
        let own = line.waiters.len();
        // Shorter lines are all gone by then, and so is the key's own.
        let longer = self.lengths.range((own + 1, Ticket(0))..);
        longer.fold(self.len(), |before, ((length, _), turn)| {
            // Whoever is behind it in the round has one turn fewer.
            let turns = if *turn < line.turn { own + 1 } else { own };
            before - length + turns
        })
    }

    /// How many wait under a key.
    pub fn waiting(&self, key: &str) -> usize {
        self.lines.get(key).map_or(0, |line| line.waiters.len())
    }

    /// Puts someone out in favour of a newcomer of this key, if that is fair. Nobody's line becomes empty by that.
    fn make_room(&mut self, key: &str) -> Option<W> {
        let (longest, newest) = *self.lengths.last_key_value()?.0;
        if self.waiting(key) + 1 < longest { self.remove(newest) } else { None }
    }

    /// A line whose turn comes behind all others.
    fn new_line(&mut self) -> Line<W> {
        Line { turn: self.next_turn(), waiters: BTreeMap::new() }
    }

    /// Takes a key's line out, to be put back changed.
    fn take_line(&mut self, key: &str) -> Option<Line<W>> {
        let line = self.lines.remove(key)?;
        self.turns.remove(&line.turn);
        if let Some(length) = line.length() {
            self.lengths.remove(&length);
        }
        Some(line)
    }

    /// Puts a key's line where it belongs, unless nobody waits in it any more.
    fn put_line(&mut self, key: &Arc<str>, line: Line<W>) {
        let Some(length) = line.length() else { return };
        self.turns.insert(line.turn, Arc::clone(key));
        self.lengths.insert(length, line.turn);
        self.lines.insert(Arc::clone(key), line);
    }

    /// The turn behind all others.
    fn next_turn(&mut self) -> Turn {
        let next = self.turns.last_key_value().map_or(0, |(Turn(last), _)| last + 1);
        Turn(next)
    }
}

#[cfg(test)]
mod tests;
