//! Smooth weighted round-robin without state.
//!
//! nginx's smooth round-robin keeps a running weight per target, which would be a lock or a race on the path of every
//! call. The same evenness follows from a timetable: in a cycle as long as the sum of the weights, a target of weight
//! `w` is due at the moments `(2k + 1) / 2w`, k = 0..w (the divisor method of Webster and Sainte-Laguë). The turn's
//! number picks an entry of the timetable; the entries that follow rank the other targets.

use std::cmp::Ordering;

use crate::{Candidate, MAX_TARGETS};

/// A place in the timetable, from which it is read: gives each member once, in the order in which they are due.
pub(crate) struct Timetable<'a> {
    candidates: &'a [Candidate],
    /// Who has yet to be given, as a set of bits.
    waiting: u64,
    /// How often each has been due.
    served: [u64; MAX_TARGETS],
}

/// The moment of a target's next turn, as the fraction `odd / (2 * weight)` of a cycle.
#[derive(Clone, Copy)]
struct Due {
    odd: u64,
    weight: u64,
    index: usize,
}

impl Due {
    /// Earlier first; at the same moment, the target listed first.
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) =
            (u128::from(self.odd) * u128::from(other.weight), u128::from(other.odd) * u128::from(self.weight));
        left.cmp(&right).then(self.index.cmp(&other.index))
    }
}

impl<'a> Timetable<'a> {
    /// The timetable of those candidates that are `members`, at the place at which `turn` entries have been used.
    pub(crate) fn at(turn: u64, candidates: &'a [Candidate], members: impl Fn(&Candidate) -> bool) -> Self {
        let candidates = &candidates[..candidates.len().min(MAX_TARGETS)];
        let is_member = candidates.iter().enumerate().filter(|(_, candidate)| members(candidate));
        let waiting = is_member.fold(0, |set, (index, _)| set | 1 << index);
        let mut table = Self { candidates, waiting, served: [0; MAX_TARGETS] };
        // At most 64 weights of 32 bits each: 38 bits, whose square still fits 128.
        let total: u64 = table.waiting().map(|(_, weight)| weight).sum();
        let used = turn.checked_rem(total).unwrap_or(0);
        let mut estimated = 0;
        // By this moment a target was due about `weight * used / total` times. Rounding down leaves fewer than one
        // entry per target to walk, instead of all those since the cycle began.
        for (index, weight) in table.waiting() {
            let due = (u128::from(weight) * u128::from(used)).checked_div(u128::from(total)).unwrap_or(0);
            table.served[index] = u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(1);
            estimated += table.served[index];
        }
        for _ in estimated..used {
            if let Some(due) = table.next_due() {
                table.served[due.index] += 1;
            }
        }
        table
    }

    fn next_due(&self) -> Option<Due> {
        self.waiting().map(|(index, weight)| Due { odd: 2 * self.served[index] + 1, weight, index }).min_by(Due::cmp)
    }

    /// Those who have yet to be given, with their weights.
    fn waiting(&self) -> impl Iterator<Item = (usize, u64)> + use<'a> {
        let waiting = self.waiting;
        let all = self.candidates.iter().enumerate();
        all.filter(move |(index, _)| waiting >> index & 1 == 1).map(|(index, candidate)| (index, candidate.share()))
    }
}

impl Iterator for Timetable<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let due = self.next_due()?;
        self.waiting &= !(1 << due.index);
        Some(due.index)
    }
}
