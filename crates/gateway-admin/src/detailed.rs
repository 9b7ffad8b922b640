//! What `/health/detailed` answers, as types: the server fills them in, and the document of this API describes them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// How each part is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DetailedHealth {
    /// How the gateway itself is; providers that fail do not count.
    pub status: GatewayStatus,
    /// The configuration in force.
    pub config: DetailedConfig,
    /// What the gateway needs or does better with, such as `store` and `redis`, and how it is in a few words. Only what it was told of
    /// is there.
    pub conditions: BTreeMap<&'static str, &'static str>,
    /// The providers that take calls, in the order of the configuration.
    pub providers: Vec<DetailedProvider>,
}

/// How the gateway itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GatewayStatus {
    /// As it should be.
    Ok,
    /// The last change of the configuration was refused, something of the store is left out, or calls cannot be served because of one
    /// of the `conditions`.
    Degraded,
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "DetailedConfiguration")]
pub struct DetailedConfig {
    /// Counts the configurations that have been in force, from 1.
    pub version: u64,
    /// Where it is from, such as `file and store`.
    pub source: &'static str,
    /// Since when it is in force.
    pub loaded_at: Timestamp,
    /// Why a later one did not come into force; null if there is none. Callers are only told that there is one.
    pub last_error: Option<String>,
    /// How many providers and models of the store are left out because something is wrong with them.
    pub left_out_count: usize,
    /// Which, and why; for administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<DetailedLeftOut>")]
    pub left_out: Option<Vec<DetailedLeftOut>>,
    /// The names of models that cannot be served as somebody wants them to be, because they or all of their providers are left out.
    /// Calls to them go to their fallback models or are refused. For administrators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub withheld_models: Option<Vec<String>>,
}

/// A provider or a model of the store that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DetailedLeftOut {
    /// `provider` or `model`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A provider that takes calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DetailedProvider {
    /// Its name.
    pub name: String,
    /// How it is doing.
    pub status: ProviderStatus,
    /// How the last failed attempt at it failed; null if none has.
    pub last_error: Option<LastFailure>,
    /// What its last check in the background found; null if it is not checked, or has not been yet.
    pub checked: Option<CheckFinding>,
    /// Its models, sorted by name. Those of names that only callers know appear once one has been called.
    pub targets: Vec<DetailedTarget>,
}

/// How a provider is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderStatus {
    /// Nothing is known against it; nor is anything if nobody has called or checked it.
    Ok,
    /// Some of its circuit breakers are not closed, or its last check in the background failed, which keeps no call away.
    Degraded,
    /// All of its circuit breakers are open.
    Down,
}

/// A failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LastFailure {
    /// What came of it, such as `server_error`: the `outcome` of `llm_proxy_attempts_total`.
    pub class: &'static str,
    /// How long ago, in seconds.
    pub seconds_ago: u64,
}

/// What a check in the background found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckFinding {
    /// Whether the provider answered as it should.
    pub status: CheckStatus,
    /// When.
    pub at: Timestamp,
    /// What went wrong, such as `transport`; null if nothing did. The provider's own words are in the log.
    pub error: Option<&'static str>,
}

/// Whether a provider answered a check as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// It did.
    Ok,
    /// It did not.
    Failed,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DetailedTarget {
    /// What the provider calls it; `*` stands for names that came when there were too many to tell them apart.
    pub model: String,
    /// Its circuit breaker.
    pub breaker: BreakerStatus,
    /// Attempts whose answer is not over.
    pub in_flight: u32,
}

/// A circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerStatus {
    /// Calls go through.
    Closed,
    /// Calls go elsewhere, if there is anywhere else.
    Open,
    /// A few calls go through, to find out.
    HalfOpen,
}
