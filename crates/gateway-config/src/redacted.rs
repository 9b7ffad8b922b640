//! The effective configuration, for people to look at: in the shape of the file, with every default filled in and without
//! a secret.
//!
//! These are types of their own, made of texts and numbers, so that nothing which must not be seen can get into a document
//! by serialising what holds it. What replaces a key tells keys apart; everything else that is secret is `***`.

use serde::{Serialize, Serializer};

use crate::config::{Auth, Config};

mod master_key;
mod model;
mod policy;
mod provider;
mod server;
mod storage;

pub use master_key::RedactedMasterKey;
pub use model::{RedactedHedge, RedactedModel, RedactedTarget, RedactedTimeoutOverrides};
pub use policy::{
    RedactedBreaker, RedactedHealthCheck, RedactedHealthCheckDefaults, RedactedRetry, RedactedRetryBudget,
    RedactedTimeouts,
};
pub use provider::{RedactedMapping, RedactedProvider};
pub use server::{RedactedAdmin, RedactedCors, RedactedLogging, RedactedQueue, RedactedServer, RedactedTls};
pub use storage::{RedactedRedis, RedactedStore};

/// In the place of a secret.
pub(crate) const HIDDEN: &str = "***";

/// Values by name, in an order that means something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered<V>(pub Vec<(String, V)>);

impl<V: Serialize> Serialize for Ordered<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A [`Config`] without its secrets, in the shape of a configuration file. Made by [`Config::redacted`].
///
/// Durations are written as `5s` or `500ms`, sizes as `32MiB`. What is not set and has no default is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the file, which `configs/full.yaml` explains")]
pub struct RedactedConfig {
    pub server: RedactedServer,
    pub admin: RedactedAdmin,
    pub store: RedactedStore,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedactedRedis>,
    pub verify_ssl: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_suffix: Option<String>,
    pub rewrite_response: bool,
    /// Those that are served and those that are not; inline ones are part of their model.
    pub providers: Vec<RedactedProvider>,
    pub models: Ordered<RedactedModel>,
    pub timeouts: RedactedTimeouts,
    pub retry: RedactedRetry,
    pub circuit_breaker: RedactedBreaker,
    pub health_check: RedactedHealthCheckDefaults,
    pub auth: &'static str,
    pub master_keys: Vec<RedactedMasterKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passthrough: Option<String>,
    pub logging: RedactedLogging,
}

impl Config {
    /// The configuration without its secrets, as it would stand in a file that leaves nothing to defaults.
    pub fn redacted(&self) -> RedactedConfig {
        let own = self.providers.iter().filter(|provider| provider.resolvable);
        let passthrough = self.passthrough.and_then(|index| self.providers.get(index));
        RedactedConfig {
            server: RedactedServer::from(&self.server),
            admin: RedactedAdmin::from(&self.admin),
            store: RedactedStore::from(&self.store),
            redis: self.redis.as_ref().map(RedactedRedis::from),
            verify_ssl: self.verify_ssl,
            provider_suffix: self.provider_suffix.clone(),
            rewrite_response: self.rewrite_response,
            providers: own.chain(&self.disabled_providers).map(RedactedProvider::from).collect(),
            models: Ordered(self.models.iter().map(|it| (it.name.clone(), RedactedModel::new(it, self))).collect()),
            timeouts: RedactedTimeouts::from(&self.timeouts),
            retry: RedactedRetry::new(&self.retry, &self.retry_budget),
            circuit_breaker: RedactedBreaker::from(&self.circuit_breaker),
            health_check: RedactedHealthCheckDefaults::from(&self.health_check),
            auth: match self.auth {
                Auth::Required => "required",
                Auth::None => "none",
            },
            master_keys: self.master_keys.iter().map(RedactedMasterKey::from).collect(),
            passthrough: passthrough.map(|provider| provider.name.clone()),
            logging: RedactedLogging::from(&self.logging),
        }
    }
}
