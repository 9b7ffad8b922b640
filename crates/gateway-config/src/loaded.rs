//! A configuration that was loaded, and what there is to say about it.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::config::{Auth, Config, StorePlace};
use crate::left_out::LeftOut;

/// A configuration and what there is to say about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file it was read from; `None` if it is the environment's alone.
    pub origin: Option<PathBuf>,
    /// What is allowed but looks like a mistake, in sentences for the log. Never a secret.
    pub warnings: Vec<String>,
    /// What the store holds and the configuration does not: providers first, then models, each by name.
    pub left_out: Vec<LeftOut>,
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
