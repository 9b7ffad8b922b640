//! What can be asked of keys, as it is written in JSON.

use gateway_ratelimit::{RateLimit, UsdBudget};
use gateway_secret::Secret;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::json::{optional_object, optional_secret};

/// A new key. What is not given, or null, is left to its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CreateKey {
    /// 1 to 64 of letters, digits, `.`, `_` and `-`; made if it is not given.
    pub id: Option<String>,
    /// The key itself; made if it is not given, which is better.
    #[serde(deserialize_with = "optional_secret")]
    pub key: Option<Secret>,
    /// What people and logs call it, 1 to 128 characters; the identifier if it is not given.
    pub name: Option<String>,
    /// Patterns of the models that it may use; all by default, and none if the list is empty.
    pub allowed_models: Option<Vec<String>>,
    /// What it may spend; any amount by default.
    #[serde(deserialize_with = "optional_object")]
    pub rate_limit: Option<RateLimit>,
    /// How much money it may spend; any amount by default.
    #[serde(deserialize_with = "optional_object")]
    pub budget: Option<UsdBudget>,
    /// When it stops working (RFC 3339); never by default.
    pub expires_at: Option<String>,
    /// Whether it is accepted at all; it is by default.
    pub is_enabled: Option<bool>,
    /// The administrator's own notes.
    pub metadata: Option<Map<String, Value>>,
}

/// Changes to a key. What is not given stays as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateKey {
    /// What people and logs call it.
    #[serde(deserialize_with = "given")]
    pub name: Option<String>,
    /// Patterns of the models that it may use; none if the list is empty.
    #[serde(deserialize_with = "given")]
    pub allowed_models: Option<Vec<String>>,
    /// What it may spend, limit by limit; null for any amount.
    #[serde(deserialize_with = "object_change")]
    pub rate_limit: Change<UpdateLimits>,
    /// How much money it may spend; null for any amount.
    #[serde(deserialize_with = "object_change")]
    pub budget: Change<UsdBudget>,
    /// When it stops working (RFC 3339); null for never.
    pub expires_at: Change<String>,
    /// Whether it is accepted at all.
    #[serde(deserialize_with = "given")]
    pub is_enabled: Option<bool>,
    /// The administrator's own notes, the whole of them; null for none.
    pub metadata: Change<Map<String, Value>>,
}

/// Changes to the limits of a key, one by one: what is not given stays as it is, and null clears one. A limit must not vanish
/// because another one was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateLimits {
    /// See [`RateLimit::requests_per_second`]; without it there is no burst either.
    pub requests_per_second: Change<u64>,
    /// See [`RateLimit::burst_size`].
    pub burst_size: Change<u64>,
    /// See [`RateLimit::requests_per_minute`].
    pub requests_per_minute: Change<u64>,
    /// See [`RateLimit::tokens_per_minute`].
    pub tokens_per_minute: Change<u64>,
    /// See [`RateLimit::max_concurrent`].
    pub max_concurrent: Change<u32>,
    /// See [`RateLimit::limit`]; without it there is no period either.
    pub limit: Change<u64>,
    /// See [`RateLimit::period_seconds`].
    pub period_seconds: Change<u32>,
}

impl UpdateLimits {
    /// The limits after the change; none if there are none left.
    pub(super) fn of(self, before: Option<&RateLimit>) -> Option<RateLimit> {
        let before = before.cloned().unwrap_or_default();
        let requests_per_second = self.requests_per_second.of(before.requests_per_second);
        let limit = self.limit.of(before.limit);
        let after = RateLimit {
            requests_per_second,
            burst_size: self.burst_size.of(before.burst_size.filter(|_| requests_per_second.is_some())),
            requests_per_minute: self.requests_per_minute.of(before.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.of(before.tokens_per_minute),
            max_concurrent: self.max_concurrent.of(before.max_concurrent),
            limit,
            period_seconds: self.period_seconds.of(before.period_seconds.filter(|_| limit.is_some())),
        };
        (after != RateLimit::default()).then_some(after)
    }
}

/// A new key in the place of the present one.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RotateKey {
    /// For how many seconds the present key stays good as well, 30 days at most; not at all by default.
    pub overlap_secs: Option<u64>,
}

/// What becomes of something that a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// The key no longer has it.
    Clear,
    /// The key has this from now on.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::from)
    }
}

impl<T> Change<T> {
    /// What there is after the change.
    pub(super) fn of(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Change<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

fn object_change<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Change<T>, D::Error> {
    optional_object(deserializer).map(Change::from)
}

/// A value that is there and is not null: what it would mean to clear a name nobody can say.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
