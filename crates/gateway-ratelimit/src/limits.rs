//! Everything that a key may spend.

use std::time::Duration;

use crate::{Budget, NanoUsd, Quota};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Requests per time, all of which hold: at most one quota of a second, one of a minute, and one of a period of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestQuotas {
    slots: [Option<Quota>; RequestQuotas::SLOTS],
}

impl RequestQuotas {
    /// How many there can be.
    pub const SLOTS: usize = 3;

    /// The place of quotas of a second, of a minute, and of periods of their own.
    const SECOND: usize = 0;
    const MINUTE: usize = 1;
    const PERIOD: usize = 2;

    /// All there are, the shortest of the usual periods first.
    pub fn iter(&self) -> impl Iterator<Item = &Quota> {
        self.slots.iter().flatten()
    }

    /// Each at its place.
    pub fn slots(&self) -> &[Option<Quota>; Self::SLOTS] {
        &self.slots
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn map(&self, change: impl Fn(&Quota) -> Quota) -> Self {
        Self { slots: self.slots.map(|slot| slot.as_ref().map(&change)) }
    }
}

/// The first, the second or the third that there is. For tests.
#[cfg(test)]
impl std::ops::Index<usize> for RequestQuotas {
    type Output = Quota;

    fn index(&self, at: usize) -> &Quota {
        self.iter().nth(at).unwrap()
    }
}

/// Each takes the place of its period. Where a quota of a second or a minute is there already, the next one takes the place of
/// a period of its own; a place that is taken for the second time is the later one's. The same quota again is none.
impl FromIterator<Quota> for RequestQuotas {
    fn from_iter<T: IntoIterator<Item = Quota>>(quotas: T) -> Self {
        let mut slots = [None; Self::SLOTS];
        for quota in quotas {
            let usual = match quota.period() {
                SECOND => Self::SECOND,
                MINUTE => Self::MINUTE,
                _ => Self::PERIOD,
            };
            let slot = if slots[usual].is_none() { usual } else { Self::PERIOD };
            if !slots.contains(&Some(quota)) {
                slots[slot] = Some(quota);
            }
        }
        Self { slots }
    }
}

/// The limits of one key, ready to be counted against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests per time.
    pub requests: RequestQuotas,
    /// Tokens per minute, of prompt and answer together.
    pub tokens: Option<Quota>,
    /// Calls at once.
    pub max_concurrent: Option<u32>,
    /// Money.
    pub budget: Option<Budget>,
}

impl Limits {
    /// Whether there is nothing to count.
    pub fn is_unlimited(&self) -> bool {
        self.requests.is_empty() && self.tokens.is_none() && self.max_concurrent.is_none() && self.budget.is_none()
    }

    /// Whether it matters how many tokens a call takes, because they are limited or because they are paid for.
    pub fn counts_tokens(&self) -> bool {
        self.tokens.is_some() || self.budget.is_some()
    }

    /// Whether a limit other than the budget is 0, so that no call is ever let through.
    pub fn is_blocked(&self) -> bool {
        self.requests.iter().chain(&self.tokens).any(Quota::is_blocked) || self.max_concurrent == Some(0)
    }

    /// What each of `nodes` may let through when they cannot count together: everything divided by their number, but at
    /// least 1 of it. What is 0 stays 0. Of the budget it is a share of the whole; where it is known what was spent of it,
    /// [`Budget::share`] divides the rest.
    pub fn share(&self, nodes: u32) -> Self {
        let part = |of: u64| part(of, nodes);
        // A part of what can be counted can be counted.
        let requests =
            |all: &Quota| Quota::requests(part(all.limit()), all.period(), part(all.burst())).unwrap_or(*all);
        let tokens = |all: Quota| Quota::tokens(part(all.limit()), all.period()).unwrap_or(all);
        Self {
            requests: self.requests.map(requests),
            tokens: self.tokens.map(tokens),
            max_concurrent: self.max_concurrent.map(|all| (all / nodes.max(1)).max(all.min(1))),
            budget: self.budget.map(|all| all.share(nodes, NanoUsd(0))),
        }
    }
}

/// An amount divided by the number of nodes, but at least 1 if there is any of it.
pub(crate) fn part(of: u64, nodes: u32) -> u64 {
    (of / u64::from(nodes.max(1))).max(of.min(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_period_has_its_place() {
        let quota = |limit, seconds| Quota::requests(limit, Duration::from_secs(seconds), limit).unwrap();
        let slots = |quotas: &[Quota]| *quotas.iter().copied().collect::<RequestQuotas>().slots();
        let (second, minute, other) = (quota(1, 1), quota(2, 60), quota(3, 60));
        assert_eq!(slots(&[]), [None; 3]);
        assert_eq!(slots(&[minute, second]), [Some(second), Some(minute), None]);
        assert_eq!(slots(&[minute, other]), [None, Some(minute), Some(other)]);
        assert_eq!(slots(&[minute, minute]), [None, Some(minute), None]);
        assert_eq!(slots(&[quota(4, 7), quota(5, 9)]), [None, None, Some(quota(5, 9))]);
        assert!(RequestQuotas::default().is_empty() && !RequestQuotas::from_iter([other]).is_empty());
    }
}
