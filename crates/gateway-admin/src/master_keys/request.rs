//! What can be asked of keys, as it is written in JSON.

use gateway_ratelimit::{BudgetPeriod, RateLimit};
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
    pub budget: Option<BudgetForm>,
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
    /// What it may spend: all limits together, so that those left out are none; null for any amount.
    #[serde(deserialize_with = "object_change")]
    pub rate_limit: Change<RateLimit>,
    /// How much money it may spend; null for any amount.
    #[serde(deserialize_with = "object_change")]
    pub budget: Change<BudgetForm>,
    /// When it stops working (RFC 3339); null for never.
    pub expires_at: Change<String>,
    /// Whether it is accepted at all.
    #[serde(deserialize_with = "given")]
    pub is_enabled: Option<bool>,
    /// The administrator's own notes, the whole of them; null for none.
    pub metadata: Change<Map<String, Value>>,
}

/// A new key in the place of the present one.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RotateKey {
    /// For how many seconds the present key stays good as well, 30 days at most; not at all by default.
    pub overlap_secs: Option<u64>,
}

/// A budget, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetForm {
    /// How much, in US dollars; 0 blocks.
    pub usd: f64,
    /// By when; days and months are those of UTC.
    pub period: BudgetPeriod,
}

/// What becomes of something that a key may have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
