//! What calls took, hour by hour: the rows that a durable store keeps of it, and the questions it answers from them.
//!
//! A row stands for an hour, a key, a model and a provider, and holds sums, so that any number of nodes add to one row and no
//! row ever tells of a single call. Names are kept as they were when the calls were made: a key that is renamed, or that is
//! gone, leaves its rows under the name that it had.

use std::future::Future;
use std::ops::{AddAssign, Range};
use std::pin::Pin;
use std::sync::Arc;

use gateway_ratelimit::NanoUsd;
use jiff::Timestamp;

use crate::StoreFuture;

/// What a row stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UsageSlot {
    /// When the hour begins, in UTC.
    pub hour: Timestamp,
    /// The name of the caller's key.
    pub key: Arc<str>,
    /// The entry of the configuration that the model's name led to.
    pub model: Arc<str>,
    /// The provider that the call is ascribed to: the one that answered, or else that was tried last.
    pub provider: Arc<str>,
}

impl UsageSlot {
    /// When the hour began that a moment lies in, in UTC. Only the first hour that a timestamp can name does not begin with one;
    /// it is taken to begin with the first moment there is.
    pub fn hour_of(at: Timestamp) -> Timestamp {
        const HOUR: i64 = 60 * 60;
        let second = at.as_second();
        Timestamp::from_second(second - second.rem_euclid(HOUR)).unwrap_or(Timestamp::MIN)
    }
}

/// What the calls of a row took, added up. Nothing wraps around: what is too much to say is the most that can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageSums {
    /// Calls, those that were refused included.
    pub requests: u64,
    /// Those of them whose answer had a status of 400 or above.
    pub errors: u64,
    /// Those of them whose tokens are estimates, because their upstream reported none.
    pub estimated: u64,
    /// Tokens of prompts, those from a cache included.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// The part of `prompt_tokens` that came from upstreams' caches.
    pub cached_tokens: u64,
    /// What it cost by the prices of the configuration.
    pub cost: NanoUsd,
}

impl UsageSums {
    /// Whether there was no call.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for UsageSums {
    fn add_assign(&mut self, more: Self) {
        let Self { requests, errors, estimated, prompt_tokens, completion_tokens, cached_tokens, cost } = self;
        *requests = requests.saturating_add(more.requests);
        *errors = errors.saturating_add(more.errors);
        *estimated = estimated.saturating_add(more.estimated);
        *prompt_tokens = prompt_tokens.saturating_add(more.prompt_tokens);
        *completion_tokens = completion_tokens.saturating_add(more.completion_tokens);
        *cached_tokens = cached_tokens.saturating_add(more.cached_tokens);
        cost.0 = cost.0.saturating_add(more.cost.0);
    }
}

/// Sums to be added to what a store has. A store that has added a batch remembers its number, so that one whose outcome is
/// not known is simply given once more, unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBatch {
    /// Who writes: an identifier that no other process has, this one's next run included.
    pub writer: Arc<str>,
    /// Which of the writer's batches it is. They are given in order, from 1.
    pub number: i64,
    /// When it was put together.
    pub at: Timestamp,
    /// The sums. A slot that is there twice is added twice.
    pub rows: Vec<(UsageSlot, UsageSums)>,
}

/// Which sums are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Of the hours that begin within.
    pub hours: Range<Timestamp>,
    /// What is told apart; everything else is added up.
    pub grouping: UsageGrouping,
    /// Only groups behind this one, which is as the store told it.
    pub after: Option<UsageGroup>,
    /// At most so many groups.
    pub limit: u32,
}

/// What is told apart in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageGrouping {
    /// Hours or days; none adds up all of the time.
    pub span: Option<UsageSpan>,
    /// Keys.
    pub key: bool,
    /// Models.
    pub model: bool,
    /// Providers.
    pub provider: bool,
}

/// How long a group lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageSpan {
    /// An hour.
    Hour,
    /// A day in UTC.
    Day,
}

/// One of the groups of an answer. What is not told apart is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageGroup {
    /// When its hour or day begins.
    pub start: Option<Timestamp>,
    /// The key's name.
    pub key: Option<Arc<str>>,
    /// The model.
    pub model: Option<Arc<str>>,
    /// The provider.
    pub provider: Option<Arc<str>>,
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsagePage {
    /// The groups, ordered as [`UsageGroup`] is.
    pub groups: Vec<(UsageGroup, UsageSums)>,
    /// Everything in the hours that were asked for. Only in the first part, which is behind no group: to add up everything
    /// once more for each part would make many parts cost far more than all at once.
    pub totals: Option<UsageSums>,
}

/// Keeps what calls took.
pub trait UsageLedger: Send + Sync {
    /// Adds a batch, or nothing if that was done before. An error means that it has to be given again, whatever the error:
    /// none of it was added, or it is not known whether all of it was.
    fn add_usage<'a>(&'a self, batch: &'a UsageBatch) -> StoreFuture<'a, ()>;

    /// Adds up what is there, for one who asks at a time, so that a report never keeps anything else from being done. The others
    /// wait for some seconds; whose turn does not come is told [`crate::StoreError::Busy`]. A part of a report by hours or days
    /// takes the time that its own hours take, any other part that of all hours.
    fn usage<'a>(&'a self, query: &'a UsageQuery) -> StoreFuture<'a, UsagePage>;

    /// Forgets the hours that began before a moment, and the writers whose last batch is from before it.
    fn forget_usage(&self, before: Timestamp) -> StoreFuture<'_, ()>;
}

/// Sees to it that what was counted so far can be read from the store.
pub trait UsageFlush: Send + Sync {
    /// Returns when what this process had counted when it was asked is in the store, or when it is clear that this takes too
    /// long; and which of the two. What could not be written is kept and written later.
    fn flush(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn hours_begin_in_utc() {
        for (at, hour) in [
            ("2026-11-22T14:59:59.999999999Z", "2026-11-22T14:00:00Z"),
            ("2026-11-22T14:00:00Z", "2026-11-22T14:00:00Z"),
            ("1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z"),
        ] {
            assert_eq!(UsageSlot::hour_of(at.parse().unwrap()), hour.parse().unwrap(), "{at}");
        }
        assert_eq!(UsageSlot::hour_of(Timestamp::MIN), Timestamp::MIN);
    }
}
