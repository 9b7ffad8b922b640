//! The order of a route's targets for one call: those that are available as the policy ranks them, then the others.
//!
//! The policy is asked about the available targets alone. If it were asked about all of them, and the others taken out
//! of its answer, their calls would fall to whoever comes next in it, and no longer be shared by weight. The others stay
//! in the ranking, the least bad one first, because a target that failed a minute ago is better than none.

use std::array;

use gateway_call::Call;
use gateway_resilience::Standing;

use crate::affinity::{self, Contender};
use crate::{Candidate, Draw, Ranking, RoutingPolicy};

/// A target as one call sees it. Its health is read once: it may change while the call is being ranked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) candidate: Candidate,
    pub(crate) standing: Standing,
    pub(crate) identity: u64,
}

impl View {
    /// What an array holds where there is no target.
    pub(crate) const VACANT: Self = Self { candidate: Candidate::VACANT, standing: Standing::Available, identity: 0 };

    fn is_available(&self) -> bool {
        self.standing == Standing::Available
    }
}

/// What decides about the order, besides the targets themselves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) policy: &'a dyn RoutingPolicy,
    pub(crate) call: &'a Call,
    pub(crate) draw: Draw,
    pub(crate) affinity: Option<u64>,
}

impl Order<'_> {
    /// Ranks the targets, of which there are at most `N`.
    pub(crate) fn of<const N: usize>(&self, views: &[View]) -> Ranking {
        let mut ranking = Ranking::new();
        self.append::<N>(views, View::is_available, &mut ranking);
        if let Some(key) = self.affinity {
            self.prefer(key, views, &mut ranking);
        }
        let available = ranking.len();
        self.append::<N>(views, |view| !view.is_available(), &mut ranking);
        ranking.sort_from(available, |left, right| views[left].standing.cmp(&views[right].standing));
        ranking
    }

    /// Appends those who are `wanted`, as the policy ranks them.
    fn append<const N: usize>(&self, views: &[View], wanted: impl Fn(&View) -> bool, ranking: &mut Ranking) {
        if !views.iter().any(&wanted) {
            return;
        }
        if ranking.is_empty() && views.iter().all(&wanted) && self.rank_all::<N>(views, ranking) {
            return;
        }
        let mut candidates = [Candidate::VACANT; N];
        let mut indices = [0; N];
        let mut len = 0;
        let chosen = views.iter().enumerate().filter(|(_, view)| wanted(view));
        for ((index, view), place) in chosen.zip(candidates.iter_mut().zip(&mut indices)) {
            *place.0 = view.candidate;
            *place.1 = index;
            len += 1;
        }
        let mut own = Ranking::new();
        self.policy.rank(self.call, self.draw, &candidates[..len], &mut own);
        // A policy from outside may rank what does not exist.
        own.iter().filter_map(|at| indices[..len].get(at)).for_each(|index| ranking.push(*index));
    }

    /// Ranks all of them, in which case the policy's indices are those of the targets. False, and nothing is ranked, if it named
    /// some that do not exist.
    fn rank_all<const N: usize>(&self, views: &[View], ranking: &mut Ranking) -> bool {
        let candidates: [Candidate; N] =
            array::from_fn(|index| views.get(index).map_or(Candidate::VACANT, |view| view.candidate));
        let candidates = candidates.get(..views.len()).unwrap_or_default();
        self.policy.rank(self.call, self.draw, candidates, ranking);
        let exist = ranking.is_within(views.len());
        if !exist {
            *ranking = Ranking::new();
        }
        exist
    }

    /// Moves the target that the key belongs to to the front, among those that the policy lets take the first place.
    fn prefer(&self, key: u64, views: &[View], ranking: &mut Ranking) {
        let Some(first) = ranking.first() else { return };
        let equals = ranking.iter().filter(|index| {
            *index == first || self.policy.are_interchangeable(&views[first].candidate, &views[*index].candidate)
        });
        let contenders = equals.map(|index| {
            let View { candidate, identity, .. } = views[index];
            Contender { index, identity, share: candidate.share(), in_flight: candidate.in_flight }
        });
        if let Some(winner) = affinity::winner(key, contenders) {
            ranking.move_to_front(winner);
        }
    }
}

#[cfg(test)]
mod tests;
