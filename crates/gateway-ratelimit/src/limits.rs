//! Everything that a key may spend.

use crate::{Budget, Quota};

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
}
