//! From sources to a [`Config`]: parse, override, expand, resolve, in that order.
//!
//! Overrides come before expansion, so that an unset variable in a setting that is overridden anyway is no error.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::config::{Auth, Config, StorePlace};
use crate::error::{ConfigError, ConfigErrors};
use crate::interpolate;
use crate::item::Item;
use crate::report::Report;
use crate::sources::{Document, Sources, Variables};
use crate::tree::{Node, Value};
use crate::vocabulary::Vocabulary;
use crate::{environment, section, yaml};

/// A configuration and what there is to say about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file it was read from; `None` if it is the environment's alone.
    pub origin: Option<PathBuf>,
    /// What is allowed but looks like a mistake, in sentences for the log. Never a secret.
    pub warnings: Vec<String>,
}

/// Loads a configuration that may use the names of `vocabulary`.
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
    let variables = Variables::gather(sources)?;
    let document = Document::open(sources, &variables)?;
    let origin = document.as_ref().map(|document| document.path.clone());
    let report = Report::new(origin.clone());
    let mut root = match document {
        Some(Document { path, text }) => parse(&text).map_err(|errors| errors.in_file(&path))?,
        None => Node::empty(),
    };
    for layer in [&variables.dotenv, variables.process] {
        let layer = layer.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        environment::overlay(&mut root, layer, &report);
    }
    let (config, warnings) = resolve(root, &variables.merged(), report, vocabulary)?;
    Ok(Loaded { config, origin, warnings })
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
        let root = parse(text)?;
        let (config, _) = resolve(root, &HashMap::new(), Report::new(None), vocabulary)?;
        Ok(config)
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

fn resolve(
    mut root: Node,
    variables: &HashMap<String, String>,
    report: Report,
    vocabulary: &Vocabulary,
) -> Result<(Config, Vec<String>), ConfigErrors> {
    interpolate::expand_tree(&mut root, variables, &report);
    let config = section::read(&Item::root(&root, &report), vocabulary);
    let warnings = report.conclude()?;
    // Only a root that is no mapping has no configuration, and that has been reported.
    let config = config.ok_or_else(|| ConfigError::of_text("the configuration is not a mapping"))?;
    Ok((config, warnings))
}

impl Loaded {
    /// What `gateway-server check` prints for a good configuration: several lines, for people.
    pub fn summary(&self) -> String {
        let config = &self.config;
        let origin = self.origin.as_ref().map_or("the environment alone".into(), |path| path.display().to_string());
        let mut lines = vec![
            format!("configuration: {origin}"),
            format!("listen: {}:{}{}", config.server.host, config.server.port, tls_note(config)),
            format!("providers: {}", count_and_names(config.providers.iter().map(|provider| provider.name.as_str()))),
            format!("models: {}", count_and_names(config.models.iter().map(|model| model.name.as_str()))),
            format!("callers: {}", callers(config)),
        ];
        lines.push(format!("store: {}", store_note(config)));
        if config.redis.is_some() {
            lines.push("limits: shared through Redis".to_owned());
        }
        if let Some(listen) = config.admin.listen {
            lines.push(format!("admin: {listen}"));
        }
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.join("\n")
    }
}

/// Where keys are kept. The URL of a server may hold a password.
fn store_note(config: &Config) -> String {
    match &config.store.place {
        StorePlace::Nowhere => "none".to_owned(),
        StorePlace::Default(path) => format!("{}, if it is there or the Admin API is on", path.display()),
        StorePlace::Sqlite(path) => path.display().to_string(),
        StorePlace::Postgres(_) => "PostgreSQL".to_owned(),
    }
}

fn tls_note(config: &Config) -> &'static str {
    if config.server.tls.is_some() { " (TLS)" } else { "" }
}

fn callers(config: &Config) -> String {
    match config.auth {
        Auth::None => "anyone (auth: none)".to_owned(),
        Auth::Required => {
            let enabled = config.master_keys.iter().filter(|key| key.enabled).map(|key| key.name.as_str());
            format!("with a key; keys: {}", count_and_names(enabled))
        }
    }
}

fn count_and_names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    /// How many names still fit a line.
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.collect();
    let mut text = names.len().to_string();
    if !names.is_empty() {
        let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        let more = if names.len() > SHOWN { ", …" } else { "" };
        let _ = write!(text, " ({shown}{more})");
    }
    text
}
