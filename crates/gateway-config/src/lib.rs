//! Load, explain and resolve the gateway's configuration.
//!
//! [`load`] turns [`Sources`] (a YAML file, `.env`, the environment) into a [`Config`], in which every default is
//! filled in, every unit converted and every reference settled, or into [`ConfigErrors`], which lists everything that
//! is wrong with position, key, finding and remedy. Start with [`Config`] to use one and with [`load`] to get one.
//!
//! Priority: environment over `.env` over the file over defaults.
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
mod environment;
mod error;
mod fields;
mod interpolate;
mod item;
mod load;
mod report;
mod section;
mod sources;
mod suggestion;
mod tree;
mod unit;
mod vocabulary;
mod yaml;

pub use config::{
    Admin, Affinity, Auth, Config, Cors, Hedge, HedgeDelay, LogFormat, Logging, Mapping, MasterKey, Model, ModelTarget,
    OnRedisError, Provider, ProviderEndpoint, Queue, Redis, Server, Store, StorePlace, TimeoutOverrides, TlsFiles,
};
pub use error::{ConfigError, ConfigErrors};
pub use gateway_upstream::Timeouts;
pub use load::{Loaded, load};
pub use sources::Sources;
pub use vocabulary::Vocabulary;
