//! What this API asks of the process that it administers: which configuration is in force, another one, and whether a provider
//! answers. Whoever runs the process implements these; here nothing is loaded, compiled or sent.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gateway_config::{Config, ConfigErrors, LeftOut};
use gateway_keystore::SettingsChange;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// The configuration of the process, and how it becomes another.
pub trait Configuration: Send + Sync {
    /// The one in force.
    fn config(&self) -> Arc<Config>;

    /// Entries of the store that are no part of it because something is wrong with them.
    fn left_out(&self) -> Vec<LeftOut>;

    /// Which one is in force.
    fn version(&self) -> ConfigVersion;

    /// Reads its sources anew and puts what they say into force.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them. The one in force stays.
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ConfigErrors>>;

    /// Whether the process could serve with this change to the store, here and now. Nothing is changed.
    ///
    /// # Errors
    ///
    /// Everything that would be wrong: with the entry itself, which would be left out, and with the rest because of it.
    fn check<'a>(&'a self, change: &'a SettingsChange) -> BoxFuture<'a, Result<(), ConfigErrors>>;
}

/// Sends real requests to providers.
pub trait Prober: Send + Sync {
    /// Sends the smallest request there is to a provider, for a model by its public name, and says how long the answer took.
    /// Only enabled providers are asked for: a check of one that is disabled answers 409, and nothing is sent to it.
    ///
    /// # Errors
    ///
    /// What went wrong, in words that hold no secret.
    fn probe<'a>(
        &'a self,
        provider: &'a str,
        model: &'a str,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Duration, String>>;
}

/// Which configuration is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ConfigVersion {
    /// Counts the configurations that have been in force, from 1.
    pub version: u64,
    /// Where it is from, such as `file and store`.
    pub source: String,
    /// Since when it is in force.
    pub loaded_at: Timestamp,
    /// Why a later one did not come into force; null if there is none.
    pub last_error: Option<String>,
}

/// A configuration that was read anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reloaded {
    /// The version in force: the one of before if nothing has changed.
    pub version: u64,
    /// What is new, such as `providers.openai-main`.
    pub added: Vec<String>,
    /// What is gone.
    pub removed: Vec<String>,
    /// What is different, such as `server.max_body`.
    pub changed: Vec<String>,
    /// What of it comes into force only when the process is started again.
    pub needs_restart: Vec<String>,
    /// What is doubtful about it.
    pub warnings: Vec<String>,
}
