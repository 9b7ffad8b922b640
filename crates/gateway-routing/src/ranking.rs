//! An order of targets, without allocation.

use std::cmp::Ordering;

/// The most targets that a route may have; checked when a configuration is compiled.
pub const MAX_TARGETS: usize = 64;

/// Indices of a route's targets, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranking {
    order: [u8; MAX_TARGETS],
    len: usize,
    /// Who is ranked, as a set of bits.
    ranked: u64,
}

impl Ranking {
    /// An empty ranking.
    pub const fn new() -> Self {
        Self { order: [0; MAX_TARGETS], len: 0, ranked: 0 }
    }

    /// Appends a target; ignored if it is out of range or already ranked.
    pub fn push(&mut self, index: usize) {
        let Some(small) = u8::try_from(index).ok().filter(|_| index < MAX_TARGETS) else { return };
        let bit = 1 << small;
        if self.ranked & bit == 0
            && let Some(place) = self.order.get_mut(self.len)
        {
            *place = small;
            self.len += 1;
            self.ranked |= bit;
        }
    }

    /// The indices in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> + Clone + '_ {
        self.order[..self.len].iter().map(|index| usize::from(*index))
    }

    /// The best target.
    pub fn first(&self) -> Option<usize> {
        self.iter().next()
    }

    /// How many targets are ranked.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no target is ranked.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sorts what stands at the place `start` and behind it; what is equal keeps its order.
    ///
    /// The standard library's stable sort may allocate, so this is an insertion sort with a binary search. It moves at
    /// most 64 bytes at a time.
    pub(crate) fn sort_from(&mut self, start: usize, compare: impl Fn(usize, usize) -> Ordering) {
        let Some(tail) = self.order[..self.len].get_mut(start..) else { return };
        for end in 1..tail.len() {
            let (sorted, next) = (&tail[..end], tail[end]);
            let is_before = |placed: &u8| compare(usize::from(*placed), usize::from(next)).is_le();
            let at = sorted.partition_point(is_before);
            tail[at..=end].rotate_right(1);
        }
    }

    /// Whether only targets below `end` are ranked.
    pub(crate) fn is_within(&self, end: usize) -> bool {
        end >= MAX_TARGETS || self.ranked >> end == 0
    }

    /// Moves a target to the front; the others keep their order. Ignored if it is not ranked.
    pub(crate) fn move_to_front(&mut self, index: usize) {
        let place = self.iter().position(|ranked| ranked == index);
        if let Some(at) = place {
            self.order[..=at].rotate_right(1);
        }
    }
}

impl Default for Ranking {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(indices: &[usize]) -> Ranking {
        let mut ranking = Ranking::new();
        for index in indices {
            ranking.push(*index);
        }
        ranking
    }

    fn shown(ranking: &Ranking) -> Vec<usize> {
        ranking.iter().collect()
    }

    #[test]
    fn a_target_is_ranked_once_and_only_if_it_can_exist() {
        let ranking = of(&[3, 1, 3, 64, 256 + 3, usize::MAX, 63]);
        assert_eq!(shown(&ranking), [3, 1, 63]);
        assert_eq!(ranking.len(), 3);
        assert!(!ranking.is_empty());
        assert_eq!(of(&(0..200).collect::<Vec<_>>()).len(), MAX_TARGETS);
    }

    #[test]
    fn moving_one_keeps_the_order_of_the_others() {
        let mut ranking = of(&[4, 2, 7, 1]);
        ranking.move_to_front(7);
        assert_eq!(shown(&ranking), [7, 4, 2, 1]);
        ranking.move_to_front(7);
        ranking.move_to_front(9);
        assert_eq!(shown(&ranking), [7, 4, 2, 1]);
    }

    proptest! {
        #[test]
        fn a_tail_is_sorted_as_the_standard_library_does(
            keys in prop::collection::vec(0_u8..5, 64),
            mut order in Just((0..64).collect::<Vec<usize>>()).prop_shuffle(),
            len in 0_usize..=64,
            start in 0_usize..70,
        ) {
            order.truncate(len);
            let mut ranking = of(&order);
            ranking.sort_from(start, |left, right| keys[left].cmp(&keys[right]));
            if let Some(tail) = order.get_mut(start..) {
                tail.sort_by_key(|index| keys[*index]);
            }
            prop_assert_eq!(shown(&ranking), order);
        }
    }
}
