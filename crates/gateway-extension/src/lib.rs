//! How a swappable part of the gateway is named, configured, built and asked.
//!
//! Routing policies, provider protocols and stores are chosen by name in a configuration. Each is an [`Extension`]:
//! a type with a `NAME`, a `Config` and a `build`. A [`Registry`] lists the built-in ones in one place; an embedder
//! adds its own the same way. [`Answer`] is what a part that may be local or remote returns, so that the local one
//! costs no allocation.
//!
//! This crate knows nothing of any particular part and does no I/O.
//!
//! ```
//! use std::sync::Arc;
//! use gateway_extension::{BuildError, Extension, Registry};
//!
//! trait Greeting: Send + Sync {
//!     fn text(&self) -> String;
//! }
//!
//! struct Hello(String);
//!
//! impl Greeting for Hello {
//!     fn text(&self) -> String {
//!         format!("hello, {}", self.0)
//!     }
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct HelloConfig {
//!     name: String,
//! }
//!
//! impl Extension<dyn Greeting> for Hello {
//!     const NAME: &'static str = "hello";
//!     type Config = HelloConfig;
//!
//!     fn build(config: HelloConfig) -> Result<Arc<dyn Greeting>, BuildError> {
//!         Ok(Arc::new(Hello(config.name)))
//!     }
//! }
//!
//! let registry: Registry<dyn Greeting> = Registry::new().with::<Hello>();
//! let settings = figment::value::Value::from(figment::util::map!["name" => "world"]);
//! assert_eq!(registry.build("hello", &settings)?.text(), "hello, world");
//! # Ok::<(), gateway_extension::RegistryError>(())
//! ```

mod answer;
mod registry;

pub use answer::Answer;
pub use registry::{BuildError, Extension, Registry, RegistryError};
