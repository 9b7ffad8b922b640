//! What an administrator wrote, read once and resolved as often as the store behind it changes.
//!
//! Overrides come before expansion, so that an unset variable in a setting that is overridden anyway is no error.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use gateway_keystore::StoredSettings;

use crate::config::Config;
use crate::error::{ConfigError, ConfigErrors};
use crate::interpolate;
use crate::item::Item;
use crate::loaded::Loaded;
use crate::report::{Problem, Report};
use crate::sources::{Document, Sources, Variables};
use crate::stored::{Dangling, Stored};
use crate::tree::{Node, Value};
use crate::vocabulary::Vocabulary;
use crate::{environment, section, yaml};

/// A configuration as its file and its environment have it, before it means anything.
///
/// It stays what it is when the file changes, so a gateway that follows a store keeps the last good one and
/// [resolves](Self::resolve) it again with every change of the store.
#[derive(Clone)]
pub struct Settings {
    /// The file's tree with the environment laid over it and its variables expanded.
    root: Node,
    /// What went wrong on the way; resolving reports it, with everything else.
    problems: Vec<Problem>,
    origin: Option<PathBuf>,
    files: Vec<PathBuf>,
}

impl Settings {
    /// Reads the file, `.env` and the environment.
    ///
    /// An error is that a file cannot be read, or is not YAML. Whatever else is wrong is for [`resolve`](Self::resolve) to
    /// say, so settings that could be read may still be bad.
    pub fn read(sources: &Sources) -> Result<Self, ConfigErrors> {
        let variables = Variables::gather(sources)?;
        let document = Document::open(sources, &variables)?;
        let files = document.files(sources);
        let Document { path, text } = document;
        let mut root = match &text {
            Some(text) => parse(text).map_err(|errors| errors.in_file(&path))?,
            None => Node::empty(),
        };
        let origin = text.map(|_| path);
        let report = Report::of_file(origin.clone(), Vec::new());
        for layer in [&variables.dotenv, variables.process] {
            let layer = layer.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            environment::overlay(&mut root, layer, &report);
        }
        interpolate::expand_tree(&mut root, &variables.merged(), &report);
        Ok(Self { root, problems: report.into_problems(), origin, files })
    }

    /// The settings that a text holds, without any environment.
    pub(crate) fn from_yaml(text: &str) -> Result<Self, ConfigErrors> {
        let mut root = parse(text)?;
        let report = Report::default();
        interpolate::expand_tree(&mut root, &HashMap::new(), &report);
        Ok(Self { root, problems: report.into_problems(), origin: None, files: Vec::new() })
    }

    /// The configuration that these settings and those of a store amount to, with the names of `vocabulary`.
    ///
    /// `stored` is what the store holds: nothing, [`StoredSettings::default`], if there is no store, and `None` if there is
    /// one that has not been read yet. Then whatever only the store may have is missing for now, with a warning.
    ///
    /// An error is every error of the file and its environment. What is wrong in the store is never one: such an entry is
    /// [left out](Loaded::left_out), whole, and what rests on it alone is withheld.
    pub fn resolve(&self, stored: Option<&StoredSettings>, vocabulary: &Vocabulary) -> Result<Loaded, ConfigErrors> {
        self.resolve_with(Stored::open(stored, Dangling::Refused), vocabulary)
    }

    /// The same, but that references of the file to a provider or a model that neither the file nor the store has lead
    /// nowhere, each with a warning, instead of being errors.
    ///
    /// It is for a process that starts with a store or follows one. What the file refers to may have been taken out of the store
    /// by somebody who does not have this file, and everything else is to be served. Whoever *makes* a change wants to hear of
    /// such a reference, which is most often a misspelling: [`resolve`](Self::resolve) refuses it.
    ///
    /// ```
    /// use gateway_config::{Settings, Sources, Vocabulary};
    /// use gateway_keystore::StoredSettings;
    ///
    /// let directory = std::env::temp_dir().join("a directory that does not exist");
    /// let environment = [("GATEWAY__PASSTHROUGH".to_owned(), "gone".to_owned())].into();
    /// let settings = Settings::read(&Sources { path: None, environment, working_directory: directory })?;
    /// let (stored, vocabulary) = (StoredSettings::default(), Vocabulary::default());
    /// assert!(settings.resolve(Some(&stored), &vocabulary).is_err());
    /// let loaded = settings.resolve_tolerantly(Some(&stored), &vocabulary)?;
    /// assert_eq!((loaded.config.passthrough, loaded.warnings[0].contains("passthrough")), (None, true));
    /// # Ok::<(), gateway_config::ConfigErrors>(())
    /// ```
    pub fn resolve_tolerantly(
        &self,
        stored: Option<&StoredSettings>,
        vocabulary: &Vocabulary,
    ) -> Result<Loaded, ConfigErrors> {
        self.resolve_with(Stored::open(stored, Dangling::Tolerated), vocabulary)
    }

    fn resolve_with(&self, stored: Stored<'_>, vocabulary: &Vocabulary) -> Result<Loaded, ConfigErrors> {
        let report = Report::of_file(self.origin.clone(), self.problems.clone());
        let config = section::read(&Item::root(&self.root, &report), &stored, vocabulary);
        let mut warnings = report.conclude()?;
        // Only a root that is no mapping has no configuration, and that has been reported.
        let config = config.ok_or_else(|| ConfigError::of_text("the configuration is not a mapping"))?;
        let (left_out, more) = stored.conclude();
        warnings.extend(more);
        Ok(Loaded { config, origin: self.origin.clone(), warnings, left_out })
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// The file that was read, as it was named; `None` if there is none, which only the default one may be.
    pub fn origin(&self) -> Option<&Path> {
        self.origin.as_deref()
    }

    /// The configuration file and `.env`, for whoever watches them. They need not exist: one that appears is a change.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

/// Shows no value: expanded variables are mostly somebody's secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("origin", &self.origin).field("files", &self.files).finish_non_exhaustive()
    }
}

/// Loads a configuration that may use the names of `vocabulary`, where there is no store.
///
/// ```
/// use gateway_config::{Sources, Vocabulary, load};
///
/// let directory = std::env::temp_dir().join("a directory that does not exist");
/// let environment = [("PORT".to_owned(), "8080".to_owned())].into();
/// let sources = Sources { path: None, environment, working_directory: directory };
/// let loaded = load(&sources, &Vocabulary::default())?;
/// assert_eq!(loaded.config.server.port, 8080);
/// assert!(loaded.origin.is_none());
/// # Ok::<(), gateway_config::ConfigErrors>(())
/// ```
pub fn load(sources: &Sources, vocabulary: &Vocabulary) -> Result<Loaded, ConfigErrors> {
    Settings::read(sources)?.resolve(Some(&StoredSettings::default()), vocabulary)
}

impl Config {
    /// The configuration that a text holds, without any environment: for embedders and tests. Warnings are dropped.
    ///
    /// ```
    /// use gateway_config::Config;
    ///
    /// let config = Config::from_yaml("providers: [{ name: local, api_base: 'http://127.0.0.1:8000/v1' }]")?;
    /// assert_eq!(config.providers[0].name, "local");
    ///
    /// let errors = Config::from_yaml("server: { prot: 80 }").unwrap_err();
    /// assert!(errors.to_string().contains("did you mean `port`?"));
    /// # Ok::<(), gateway_config::ConfigErrors>(())
    /// ```
    pub fn from_yaml(text: &str) -> Result<Self, ConfigErrors> {
        Self::from_yaml_with(text, &Vocabulary::default())
    }

    /// The same with other names than the built-in ones, such as those of a gateway's builder.
    pub fn from_yaml_with(text: &str, vocabulary: &Vocabulary) -> Result<Self, ConfigErrors> {
        let loaded = Settings::from_yaml(text)?.resolve(Some(&StoredSettings::default()), vocabulary)?;
        Ok(loaded.config)
    }
}

fn parse(text: &str) -> Result<Node, ConfigErrors> {
    if text.len() > yaml::MAX_FILE {
        return Err(ConfigError::of_text("the text is larger than 16 MiB").into());
    }
    let root = if text.trim().is_empty() { Ok(None) } else { yaml::parse(text).map(Some) };
    let root = root.map_err(|error| {
        let (line, column) = error.position.unzip();
        ConfigError { line, column, ..ConfigError::of_text(format!("not valid YAML: {}", error.message)) }
    })?;
    // A file of comments only, or of `---`, holds nothing too.
    let root = root.filter(|root| root.value != Value::Null);
    root.ok_or_else(|| ConfigError::of_text("the file is empty; a configuration has at least one key").into())
}
