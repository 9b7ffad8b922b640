//! An order of targets, without allocation.

/// The most targets that a route may have; checked when a configuration is compiled.
pub const MAX_TARGETS: usize = 64;

/// Indices of a route's targets, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranking {
    order: [u8; MAX_TARGETS],
    len: usize,
}

impl Ranking {
    /// An empty ranking.
    pub const fn new() -> Self {
        Self { order: [0; MAX_TARGETS], len: 0 }
    }

    /// Appends a target; ignored if it is out of range or already ranked.
    pub fn push(&mut self, index: usize) {
        let Ok(small) = u8::try_from(index) else { return };
        if index < MAX_TARGETS && self.len < MAX_TARGETS && !self.order[..self.len].contains(&small) {
            self.order[self.len] = small;
            self.len += 1;
        }
    }

    /// The indices in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.order[..self.len].iter().map(|index| usize::from(*index))
    }

    /// The best target.
    pub fn first(&self) -> Option<usize> {
        self.iter().next()
    }
}

impl Default for Ranking {
    fn default() -> Self {
        Self::new()
    }
}
