//! Load, explain and resolve the gateway's configuration.
//!
//! [`load`] turns [`Sources`] (a YAML file, `.env`, the environment) into a [`Config`], in which every default is
//! filled in, every unit converted and every reference settled, or into [`ConfigErrors`], which lists everything that
//! is wrong with position, key, finding and remedy. Start with [`Config`] to use one and with [`load`] to get one.
//!
//! Priority: environment over `.env` over the file over defaults.
//!
//! A gateway with a store keeps the [`Settings`] that it has read and resolves them again with every change of the store.
//! What is wrong in the file is an error of the whole; what is wrong in the store is [left out](LeftOut), and the rest is
//! served. [`Difference`] says what a new configuration changes, and [`Config::redacted`] shows one without its secrets.
//!
//! This crate opens no sockets, watches nothing and keeps no state; its only I/O is reading those two files. It never
//! shows a secret.
//!
//! ```
//! use gateway_config::{Config, ProviderEndpoint};
//!
//! let config = Config::from_yaml(
//!     "
//! providers:
//!   - name: openai
//!     api_key: sk-example
//!     model_mapping: { fast: gpt-4o-mini, 'gpt-*': '*' }
//! auth: none
//! ",
//! )?;
//! assert!(matches!(&config.providers[0].endpoint, ProviderEndpoint::Base(uri) if uri.host() == Some("api.openai.com")));
//! assert_eq!(config.server.port, 18000);
//! # Ok::<(), gateway_config::ConfigErrors>(())
//! ```

mod config;
mod difference;
mod environment;
mod error;
mod fields;
mod interpolate;
mod item;
mod json;
mod left_out;
mod literal;
mod loaded;
mod redacted;
mod report;
mod section;
mod settings;
mod sources;
mod stored;
mod suggestion;
mod tree;
mod unit;
mod vocabulary;
mod way;
mod written;
mod yaml;

pub use config::{
    Admin, Affinity, Auth, Config, Cors, HealthCheck, HealthCheckDefaults, Hedge, HedgeDelay, KeyMaterial, LogFormat,
    Logging, Mapping, MasterKey, Model, ModelTarget, OnRedisError, Origin, Provider, ProviderEndpoint, Queue, Redis,
    Server, Store, StorePlace, TimeoutOverrides, TlsFiles,
};
pub use difference::Difference;
pub use error::{ConfigError, ConfigErrors, StoreEntry};
pub use gateway_upstream::Timeouts;
pub use left_out::{LeftOut, LeftOutReason};
pub use loaded::Loaded;
pub use redacted::{
    Ordered, RedactedAdmin, RedactedBreaker, RedactedConfig, RedactedCors, RedactedHealthCheck,
    RedactedHealthCheckDefaults, RedactedHedge, RedactedLogging, RedactedMapping, RedactedMasterKey, RedactedModel,
    RedactedProvider, RedactedQueue, RedactedRedis, RedactedRetry, RedactedRetryBudget, RedactedServer, RedactedStore,
    RedactedTarget, RedactedTimeoutOverrides, RedactedTimeouts, RedactedTls,
};
pub use settings::{Settings, load};
pub use sources::Sources;
pub use suggestion::nearest;
pub use vocabulary::Vocabulary;
pub use written::Written;
