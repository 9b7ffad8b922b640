//! A process whose configuration is a file in a temporary directory and what the fake store holds, resolved as in earnest; and
//! providers that answer as they are told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gateway_admin::{ConfigVersion, Configuration, Prober, Reloaded};
use gateway_config::{
    Config, ConfigError, ConfigErrors, LeftOut, LeftOutReason, Loaded, Settings, Sources, Vocabulary,
};
use gateway_keystore::{SettingsChange, StoredSettings};
use jiff::Timestamp;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::fake_store::FakeStore;

pub(crate) struct FakeConfiguration {
    directory: TempDir,
    store: Arc<FakeStore>,
    in_force: Mutex<InForce>,
}

struct InForce {
    config: Arc<Config>,
    left_out: Vec<LeftOut>,
    version: u64,
    last_error: Option<String>,
}

impl FakeConfiguration {
    pub(crate) fn new(store: Arc<FakeStore>, file: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let in_force = InForce {
            config: Arc::new(Config::from_yaml("auth: none").unwrap()),
            left_out: Vec::new(),
            version: 0,
            last_error: None,
        };
        let configuration = Self { directory, store, in_force: Mutex::new(in_force) };
        configuration.write_file(file);
        configuration.resolve_in_force().unwrap();
        configuration
    }

    pub(crate) fn write_file(&self, text: &str) {
        std::fs::write(self.directory.path().join("config.yaml"), text).unwrap();
    }

    /// Reads everything anew, as when the store has changed.
    pub(crate) fn resolve_in_force(&self) -> Result<Vec<String>, ConfigErrors> {
        let loaded = self.resolve(&self.store.stored_settings());
        let mut in_force = self.in_force.lock();
        let Loaded { config, left_out, warnings, .. } = loaded.inspect_err(|errors| {
            in_force.last_error = Some(errors.to_string());
        })?;
        let (version, config) = (in_force.version + 1, Arc::new(config));
        *in_force = InForce { config, left_out, version, last_error: None };
        Ok(warnings)
    }

    fn resolve(&self, stored: &StoredSettings) -> Result<Loaded, ConfigErrors> {
        let path = Some("config.yaml".into());
        let working_directory = self.directory.path().to_owned();
        let sources = Sources { path, environment: HashMap::new(), working_directory };
        Settings::read(&sources)?.resolve(Some(stored), &Vocabulary::default())
    }

    fn check_change(&self, change: &SettingsChange) -> Result<(), ConfigErrors> {
        let mut stored = self.store.stored_settings();
        let (kind, name) = change.object();
        stored.records.retain(|record| (record.kind, &record.name) != (kind, name));
        stored.unreadable.retain(|row| (row.kind, &*row.name) != (kind, name));
        if let SettingsChange::Insert(record) | SettingsChange::Replace(record) = change {
            stored.records.push(record.clone());
        }
        let left_out = self.resolve(&stored)?.left_out;
        let known = &self.in_force.lock().left_out;
        let is_of_change = |it: &LeftOut| it.kind == kind && it.name == **name;
        match left_out.into_iter().find(|it| is_of_change(it) || !known.contains(it)) {
            None => Ok(()),
            Some(LeftOut { reason: LeftOutReason::Invalid(errors), .. }) => Err(errors),
            Some(other) => Err(ConfigError::of_key("", other.to_string()).into()),
        }
    }
}

impl Configuration for FakeConfiguration {
    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.in_force.lock().config)
    }

    fn left_out(&self) -> Vec<LeftOut> {
        self.in_force.lock().left_out.clone()
    }

    fn version(&self) -> ConfigVersion {
        let in_force = self.in_force.lock();
        ConfigVersion {
            version: in_force.version,
            source: "file and store".to_owned(),
            loaded_at: Timestamp::UNIX_EPOCH,
            last_error: in_force.last_error.clone(),
        }
    }

    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ConfigErrors>> {
        Box::pin(async move {
            let warnings = self.resolve_in_force()?;
            let version = self.in_force.lock().version;
            Ok(Reloaded { version, changed: vec!["providers.openai".to_owned()], warnings, ..Reloaded::default() })
        })
    }

    fn check<'a>(&'a self, change: &'a SettingsChange) -> BoxFuture<'a, Result<(), ConfigErrors>> {
        Box::pin(async move {
            let verdict = self.check_change(change);
            // Others get their turn between the verdict and the write.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            verdict
        })
    }
}

/// Providers that answer in 12 ms, but for models whose names say otherwise.
#[derive(Default)]
pub(crate) struct FakeProber {
    under_way: AtomicUsize,
    /// The most probes that were under way at once.
    pub(crate) most: AtomicUsize,
    /// Which were made, as `provider/model` and the timeout.
    pub(crate) probes: Mutex<Vec<(String, Duration)>>,
}

impl Prober for FakeProber {
    fn probe<'a>(
        &'a self,
        provider: &'a str,
        model: &'a str,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Duration, String>> {
        Box::pin(async move {
            self.probes.lock().push((format!("{provider}/{model}"), timeout));
            self.most.fetch_max(self.under_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            // Others get their turn.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            if model.contains("bad") { Err("503 from the upstream".to_owned()) } else { Ok(Duration::from_millis(12)) }
        })
    }
}
