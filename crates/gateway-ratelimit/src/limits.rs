//! Everything that a key may spend.

use crate::{Budget, NanoUsd, Quota};

/// The limits of one key, ready to be counted against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests per time; all of them hold. At most one per second, one per minute, and one per period of its own.
    pub requests: Vec<Quota>,
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
            requests: self.requests.iter().map(requests).collect(),
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
