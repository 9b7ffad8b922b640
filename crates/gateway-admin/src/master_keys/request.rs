//! What can be asked of keys, as it is written in JSON.

use std::borrow::Cow;

use gateway_ratelimit::{RateLimit, UsdBudget};
use gateway_secret::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::rule::{CLEAN, MAX_KEY, MAX_NAME, MAX_OVERLAP, MAX_PATTERN, MAX_PATTERNS, PLAIN};
use crate::json::{optional_object, optional_secret};

/// A new key. What is not given, or null, is left to its default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateKey {
    /// 1 to 64 of letters, digits, `.`, `_` and `-`; made if it is not given.
    #[schemars(regex(pattern = PLAIN))]
    pub id: Option<String>,
    /// The key itself; made if it is not given, which is better.
    #[serde(deserialize_with = "optional_secret")]
    #[schemars(with = "Option<String>", length(min = 1, max = MAX_KEY), regex(pattern = CLEAN))]
    pub key: Option<Secret>,
    /// What people and logs call it, 1 to 128 characters; the identifier if it is not given.
    #[schemars(length(min = 1, max = MAX_NAME), regex(pattern = CLEAN))]
    pub name: Option<String>,
    /// Patterns of the models that it may use; all by default, and none if the list is empty.
    #[schemars(length(max = MAX_PATTERNS), inner(length(min = 1, max = MAX_PATTERN), regex(pattern = CLEAN)))]
    pub allowed_models: Option<Vec<String>>,
    /// What it may spend; any amount by default.
    #[serde(deserialize_with = "optional_object")]
    #[schemars(with = "Option<RateLimit>")]
    pub rate_limit: Option<RateLimit>,
    /// How much money it may spend; any amount by default.
    #[serde(deserialize_with = "optional_object")]
    #[schemars(with = "Option<UsdBudget>")]
    pub budget: Option<UsdBudget>,
    /// When it stops working (RFC 3339); never by default.
    #[schemars(extend("format" = "date-time"))]
    pub expires_at: Option<String>,
    /// Whether it is accepted at all; it is by default.
    pub is_enabled: Option<bool>,
    /// The administrator's own notes.
    pub metadata: Option<Map<String, Value>>,
}

/// Changes to a key. What is not given stays as it is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateKey {
    /// What people and logs call it.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "String", length(min = 1, max = MAX_NAME), regex(pattern = CLEAN))]
    pub name: Option<String>,
    /// Patterns of the models that it may use; none if the list is empty.
    #[serde(deserialize_with = "given")]
    #[schemars(
        with = "Vec<String>",
        length(max = MAX_PATTERNS),
        inner(length(min = 1, max = MAX_PATTERN), regex(pattern = CLEAN))
    )]
    pub allowed_models: Option<Vec<String>>,
    /// What it may spend, limit by limit; null for any amount.
    #[serde(deserialize_with = "object_change")]
    #[schemars(with = "Change<UpdateLimits>")]
    pub rate_limit: Change<UpdateLimits>,
    /// How much money it may spend; null for any amount.
    #[serde(deserialize_with = "object_change")]
    #[schemars(with = "Change<UsdBudget>")]
    pub budget: Change<UsdBudget>,
    /// When it stops working (RFC 3339); null for never.
    #[schemars(extend("format" = "date-time"))]
    pub expires_at: Change<String>,
    /// Whether it is accepted at all.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "bool")]
    pub is_enabled: Option<bool>,
    /// The administrator's own notes, the whole of them; null for none.
    pub metadata: Change<Map<String, Value>>,
}

/// Changes to the limits of a key, one by one: what is not given stays as it is, and null clears one. A limit must not vanish
/// because another one was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateLimits {
    /// Requests a second; without it there is no burst either.
    #[schemars(range(max = 1_000_000))]
    pub requests_per_second: Change<u64>,
    /// How many of them may come at once.
    #[schemars(range(max = 1_000_000))]
    pub burst_size: Change<u64>,
    /// Requests a minute.
    #[schemars(range(max = 60_000_000))]
    pub requests_per_minute: Change<u64>,
    /// Tokens a minute, of prompts and answers together.
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub tokens_per_minute: Change<u64>,
    /// Calls at once.
    pub max_concurrent: Change<u32>,
    /// Requests in `period_seconds`; without it there is no period either.
    pub limit: Change<u64>,
    /// The period of `limit`.
    #[schemars(range(min = 1))]
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
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateKey {
    /// For how many seconds the present key stays good as well, 30 days at most; not at all by default.
    #[schemars(range(max = MAX_OVERLAP))]
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

/// Written as the value or null.
impl<T: JsonSchema> JsonSchema for Change<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(generator)
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
