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

/// What was taken from the limits for one call, besides one request and one call at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// How much.
    pub demand: Demand,
    /// The budget's window that the money was taken from.
    pub window: Option<BudgetWindow>,
}

/// Where a call was let through, and so is to be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By this process, which counts by itself.
    Local,
    /// By a store that several processes share.
    Shared,
}

/// The proof that a call was let through: whoever holds it owes the store a [`crate::LimitStore::settle`]. Made by stores.
#[derive(Debug)]
#[must_use = "what was taken has to be settled"]
pub struct Reservation {
    key: Arc<str>,
    limits: Arc<Limits>,
    taken: Taken,
    levels: Levels,
    origin: Origin,
}

impl Reservation {
    /// Says that so much was taken, and how much is left.
    pub fn new(key: Arc<str>, limits: Arc<Limits>, taken: Taken, levels: Levels, origin: Origin) -> Self {
        Self { key, limits, taken, levels, origin }
    }

    /// Whose limits.
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// The limits that it was taken from.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// What was taken.
    pub fn taken(&self) -> Taken {
        self.taken
    }

    /// How much was left.
    pub fn levels(&self) -> Levels {
        self.levels
    }

    /// Where it was taken.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}
