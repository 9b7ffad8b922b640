//! Parts by name.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use figment::value::Value;
use serde::de::DeserializeOwned;

/// Why a part could not be built from its settings; the text is for the administrator.
pub type BuildError = Box<dyn Error + Send + Sync>;

/// A part that can be chosen by name: `T` is the trait object that it becomes.
pub trait Extension<T: ?Sized> {
    /// The name that chooses it in a configuration; lower case, unique in its registry.
    const NAME: &'static str;
    /// Its settings; unknown fields should be errors.
    type Config: DeserializeOwned;

    /// Makes the part. Called when a configuration is compiled, never on the path of a call.
    fn build(config: Self::Config) -> Result<Arc<T>, BuildError>;
}

type Builder<T> = fn(&Value) -> Result<Arc<T>, BuildError>;

/// The parts of one kind that a configuration may name.
pub struct Registry<T: ?Sized> {
    builders: BTreeMap<&'static str, Builder<T>>,
}

/// Why a registry could not supply a part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No part of that name is registered.
    #[error("unknown name `{name}`; known: {}", known.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: Vec<&'static str>,
    },
    /// The part refused its settings.
    #[error("`{name}` cannot be built: {source}")]
    Build {
        /// The part's name.
        name: String,
        /// Its own words.
        source: BuildError,
    },
}

impl<T: ?Sized> Registry<T> {
    /// A registry without any part.
    pub fn new() -> Self {
        Self { builders: BTreeMap::new() }
    }

    /// The registry with one part more; one of the same name is replaced, so an embedder can override a built-in.
    pub fn with<E: Extension<T>>(mut self) -> Self {
        self.builders.insert(E::NAME, |settings| {
            let config = settings.deserialize::<E::Config>()?;
            E::build(config)
        });
        self
    }

    /// The names of all parts, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.builders.keys().copied()
    }

    /// Builds the part called `name` from its settings.
    ///
    /// # Errors
    ///
    /// An unknown name, or settings that the part refuses.
    pub fn build(&self, name: &str, settings: &Value) -> Result<Arc<T>, RegistryError> {
        let builder = self
            .builders
            .get(name)
            .ok_or_else(|| RegistryError::Unknown { name: name.to_owned(), known: self.names().collect() })?;
        builder(settings).map_err(|source| RegistryError::Build { name: name.to_owned(), source })
    }

    /// Builds a part that needs no settings.
    ///
    /// # Errors
    ///
    /// As [`Registry::build`], with empty settings.
    pub fn build_default(&self, name: &str) -> Result<Arc<T>, RegistryError> {
        self.build(name, &Value::from(figment::value::Dict::new()))
    }
}

impl<T: ?Sized> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: ?Sized> Clone for Registry<T> {
    fn clone(&self) -> Self {
        Self { builders: self.builders.clone() }
    }
}

impl<T: ?Sized> fmt::Debug for Registry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.builders.keys()).finish()
    }
}
