//! What a call takes, and what it turns out to have used.

use std::sync::Arc;
use std::time::Duration;

use crate::{BudgetWindow, Limits, NanoUsd};

/// What a call is expected to need, besides being one request and one call at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Tokens of prompt and answer.
    pub tokens: u64,
    /// Money.
    pub cost: NanoUsd,
}

/// What a call has used in the end. A call that failed used nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Tokens of prompt and answer.
    pub tokens: u64,
    /// Money.
    pub cost: NanoUsd,
}

/// How much of a quota is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// How much may come at once when all of it is there.
    pub limit: u64,
    /// How much may come now.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset: Duration,
}

/// What a caller is told of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Levels {
    /// Of the request quota that has least left.
    pub requests: Option<Level>,
    /// Of the token quota.
    pub tokens: Option<Level>,
}

/// What was taken for one call. A plain token: whoever holds it owes the store a [`crate::LimitStore::settle`].
#[derive(Debug)]
#[must_use = "what was taken has to be settled"]
pub struct Reservation {
    /// Whose limits.
    pub key: Arc<str>,
    /// The limits that it was taken from.
    pub limits: Arc<Limits>,
    /// How much.
    pub taken: Demand,
    /// The budget's window that the money was taken from.
    pub window: Option<BudgetWindow>,
    /// How much is left.
    pub levels: Levels,
    /// Who took it: a number that means something to the store alone.
    pub origin: u64,
}
