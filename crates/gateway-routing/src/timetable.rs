//! Smooth weighted round-robin without state.
//!
//! nginx's smooth round-robin keeps a running weight per target, which would be a lock or a race on the path of every
//! call. The same evenness follows from a timetable: in a cycle as long as the sum of the weights, a target of weight
//! `w` is due at the moments `(2k + 1) / 2w`, k = 0..w (the divisor method of Webster and Sainte-Laguë). The turn's
//! number picks an entry of the timetable; the entries that follow rank the other targets.

use std::cmp::Ordering;
use std::iter;

use crate::{Candidate, MAX_TARGETS};

/// Visits those candidates that are `members`, each once, as they stand in their timetable from the place on at which `turn`
/// entries have been used.
pub(crate) fn each_due(
    turn: u64,
    candidates: &[Candidate],
    members: impl Fn(&Candidate) -> bool,
    visit: impl FnMut(usize),
) {
    let waiting = Set::of(candidates, members);
    let mut weights = waiting.iter().map(|index| candidates[index].share());
    let Some(first) = weights.next() else { return };
    if weights.all(|weight| weight == first) {
        return waiting.at_turn(turn).for_each(visit);
    }
    // Room for the most targets would be cleared and moved for each call.
    match candidates.len() {
        ..=4 => Timetable::<4>::at(turn, candidates, waiting).for_each(visit),
        5..=16 => Timetable::<16>::at(turn, candidates, waiting).for_each(visit),
        _ => Timetable::<MAX_TARGETS>::at(turn, candidates, waiting).for_each(visit),
    }
}

/// A place in the timetable of at most `N` candidates, from which it is read: gives each member once, in the order in which
/// they are due.
struct Timetable<'a, const N: usize> {
    candidates: &'a [Candidate],
    /// Who has yet to be given.
    waiting: Set,
    /// How often each has been due.
    served: [u64; N],
}

/// Places of candidates, a bit each.
#[derive(Clone, Copy)]
struct Set(u64);

impl Set {
    /// Those candidates that are `members`, of as many as a route may have.
    fn of(candidates: &[Candidate], members: impl Fn(&Candidate) -> bool) -> Self {
        let is_member = candidates.iter().take(MAX_TARGETS).enumerate().filter(|(_, candidate)| members(candidate));
        Self(is_member.fold(0, |set, (index, _)| set | 1 << index))
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        iter::from_fn(move || {
            let first = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(first)
        })
    }

    /// All of them in the order in which they are due if all weigh the same: one after the other, round after round, of which
    /// `turn` entries have been used.
    fn at_turn(self, turn: u64) -> impl Iterator<Item = usize> {
        let used = turn.checked_rem(self.0.count_ones().into()).unwrap_or(0);
        let later = (0..used).fold(self.0, |later, _| later & later.wrapping_sub(1));
        Self(later).iter().chain(Self(self.0 & !later).iter())
    }
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

impl<'a, const N: usize> Timetable<'a, N> {
    fn at(turn: u64, candidates: &'a [Candidate], waiting: Set) -> Self {
        let mut table = Self { candidates, waiting, served: [0; N] };
        // At most 64 weights of 32 bits each: 38 bits, whose square still fits 128.
        let total: u64 = waiting.iter().map(|index| candidates[index].share()).sum();
        let used = turn.checked_rem(total).unwrap_or(0);
        let mut estimated = 0;
        // By this moment a target was due about `weight * used / total` times. Rounding down leaves fewer than one
        // entry per target to walk, instead of all those since the cycle began.
        for index in waiting.iter() {
            let due = share_of(candidates[index].share(), used, total);
            table.served[index] = due.saturating_sub(1);
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
        let all = self.waiting.iter().map(|index| Due {
            odd: 2 * self.served[index] + 1,
            weight: self.candidates[index].share(),
            index,
        });
        all.min_by(Due::cmp)
    }
}

impl<const N: usize> Iterator for Timetable<'_, N> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let due = self.next_due()?;
        self.waiting.0 &= !(1 << due.index);
        Some(due.index)
    }
}

/// `weight * used / total`, rounded down; 0 of no total.
fn share_of(weight: u64, used: u64, total: u64) -> u64 {
    // A division of 128 bits is a call, and only weights in the millions need it.
    if let Some(product) = weight.checked_mul(used) {
        return product.checked_div(total).unwrap_or(0);
    }
    let share = (u128::from(weight) * u128::from(used)).checked_div(u128::from(total)).unwrap_or(0);
    u64::try_from(share).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_take_turns_as_the_timetable_says(weight in 1_u32..5, members in prop::collection::vec(any::<bool>(), 1..=64), turn: u64) {
            // Who is no member stands in another tier.
            let candidate = |is_member: &bool| Candidate { weight, priority: u32::from(!is_member), ..Candidate::VACANT };
            let candidates: Vec<_> = members.iter().map(candidate).collect();
            let mut found = Vec::new();
            each_due(turn, &candidates, |it| it.priority == 0, |index| found.push(index));
            let waiting = Set::of(&candidates, |it| it.priority == 0);
            prop_assert_eq!(found, Timetable::<MAX_TARGETS>::at(turn, &candidates, waiting).collect::<Vec<_>>());
        }

        #[test]
        fn the_room_makes_no_difference(weights in prop::collection::vec(1_u32..9, 1..=4), turn: u64) {
            let candidates: Vec<_> = weights.iter().map(|weight| Candidate { weight: *weight, ..Candidate::VACANT }).collect();
            let waiting = Set::of(&candidates, |_| true);
            let [small, large]: [Vec<_>; 2] = [
                Timetable::<4>::at(turn, &candidates, waiting).collect(),
                Timetable::<MAX_TARGETS>::at(turn, &candidates, waiting).collect(),
            ];
            prop_assert_eq!(small, large);
        }
    }
}
