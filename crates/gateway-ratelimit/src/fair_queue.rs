//! Who goes next when there is no room: callers take turns, however much each of them wants.

/// A bounded queue in which keys take turns.
#[derive(Debug)]
pub struct FairQueue<W> {
    waiting: Vec<W>,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// There is no place for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;
