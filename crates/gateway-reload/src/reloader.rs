//! One way into force for every configuration, whatever brings it about.

use std::convert::Infallible;
use std::fmt;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway_config::{
    Config, ConfigError, ConfigErrors, Difference, LeftOut, LeftOutReason, Loaded, Settings, Sources, Vocabulary,
};
use gateway_core::{CompileErrors, Gateway, GatewayBuilder};
use gateway_keystore::{SettingsChange, StoredSettings};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::host::Host;
use crate::looks::Looks;
use crate::status::{Reloaded, Status};
use crate::watch::FileWatch;

/// Keeps a gateway at what its sources say. Cheap to clone.
#[derive(Clone)]
pub struct Reloader {
    shared: Arc<Shared>,
}

struct Shared {
    sources: Sources,
    vocabulary: Vocabulary,
    host: Arc<dyn Host>,
    /// Held while a configuration is made, which takes milliseconds: only by threads that may wait.
    parts: Mutex<Parts>,
    status: RwLock<Status>,
}

/// What the configuration in force is made of.
struct Parts {
    /// What the file and the environment said when that was last good.
    settings: Settings,
    /// What the store says; none before it was first read.
    stored: Option<StoredSettings>,
    /// The gateway to keep; none before the start.
    gateway: Option<Gateway>,
}

/// Why a configuration is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The process has been started.
    Start,
    /// A file has changed.
    File,
    /// The process has been sent SIGHUP.
    Signal,
    /// An administrator has asked for it.
    Request,
    /// The store has changed.
    Store,
}

impl Cause {
    /// In a word, for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::File => "file",
            Self::Signal => "signal",
            Self::Request => "request",
            Self::Store => "store",
        }
    }
}

impl Reloader {
    /// Reads the sources. Nothing is in force before [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// A file cannot be read, or is no YAML.
    pub fn new(sources: Sources, vocabulary: Vocabulary, host: Arc<dyn Host>) -> Result<Self, ConfigErrors> {
        let settings = Settings::read(&sources)?;
        let parts = Parts { settings, stored: None, gateway: None };
        let status = Status {
            version: 0,
            source: "nothing",
            loaded_at: Timestamp::now(),
            last_error: None,
            left_out: Vec::new(),
        };
        let shared = Shared { sources, vocabulary, host, parts: Mutex::new(parts), status: RwLock::new(status) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The configuration of the file and the environment alone: where the store is, for one.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn without_store(&self) -> Result<Loaded, ConfigErrors> {
        self.shared.parts.lock().settings.resolve(None, &self.shared.vocabulary)
    }

    /// Builds the gateway with what is known of the store by now, and keeps it from then on.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration.
    pub async fn start(&self, builder: GatewayBuilder) -> Result<Gateway, ConfigErrors> {
        self.run(move |shared| shared.start(builder)).await
    }

    /// Reads the sources again, and puts them into force if they are good and say something else.
    ///
    /// # Errors
    ///
    /// Everything that is wrong. The configuration in force stays.
    pub async fn reload(&self, cause: Cause) -> Result<Reloaded, ConfigErrors> {
        self.run(move |shared| shared.reload(cause)).await
    }

    /// Whether the store could be changed like this, here and now.
    ///
    /// # Errors
    ///
    /// Everything that would be wrong.
    pub async fn check(&self, change: SettingsChange) -> Result<(), ConfigErrors> {
        self.run(move |shared| shared.check(&change)).await
    }

    /// Takes what the store says from now on. Without a store, that is nothing. Waits for a reload that is under way.
    ///
    /// What cannot be put into force is remembered for the next reload, and [`status`](Self::status) says why.
    pub fn take_stored(&self, stored: StoredSettings) {
        self.shared.take_stored(stored);
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.shared.status.read().clone()
    }

    /// Reloads whenever a file has changed, for ever.
    pub async fn watch_files(&self) -> Infallible {
        let mut watch = FileWatch::new(self.files()).await;
        loop {
            let looks = watch.looks().clone();
            if !self.run(move |shared| shared.reload_whole_files(&looks)).await {
                watch.forget();
            }
            watch.set_files(self.files()).await;
            watch.changed().await;
        }
    }

    /// The files on which the configuration depends.
    fn files(&self) -> Vec<PathBuf> {
        let parts = self.shared.parts.lock();
        let mut files = parts.settings.files().to_vec();
        let config = parts.gateway.as_ref().map(Gateway::config);
        if let Some(tls) = config.as_ref().and_then(|config| config.server.tls.as_ref()) {
            files.extend([tls.cert.clone(), tls.key.clone()]);
        }
        files
    }

    /// Does work on a thread that may wait.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> T + Send + 'static) -> T {
        let shared = Arc::clone(&self.shared);
        match spawn_blocking(move || work(&shared)).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime is shutting down, and nobody waits for an answer any more.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Shared {
    fn start(&self, builder: GatewayBuilder) -> Result<Gateway, ConfigErrors> {
        let mut parts = self.parts.lock();
        let loaded = parts.settings.resolve(parts.stored.as_ref(), &self.vocabulary)?;
        let mut config = loaded.config;
        self.host.prepare(&mut config)?;
        let gateway = builder.build(&config).map_err(|errors| compile_errors(&errors))?;
        self.host.adopt(&config);
        say_what_is_left_out(&loaded.left_out, &[]);
        parts.gateway = Some(gateway.clone());
        self.note_in_force(&gateway, &parts, loaded.left_out);
        Ok(gateway)
    }

    fn reload(&self, cause: Cause) -> Result<Reloaded, ConfigErrors> {
        let mut parts = self.parts.lock();
        let began = Instant::now();
        let settings = self.read_again(&parts);
        self.replace_settings(&mut parts, settings, (cause, began))
    }

    /// The same for files that were whole when they looked like this, unless somebody has begun to write them again. Returns
    /// whether nobody has.
    fn reload_whole_files(&self, looks: &Looks) -> bool {
        let mut parts = self.parts.lock();
        let began = Instant::now();
        let settings = self.read_again(&parts);
        let is_whole = looks.are_the_same();
        if is_whole {
            // Whatever is wrong is noted.
            drop(self.replace_settings(&mut parts, settings, (Cause::File, began)));
        }
        is_whole
    }

    fn replace_settings(
        &self,
        parts: &mut Parts,
        settings: Result<Settings, ConfigErrors>,
        (cause, began): (Cause, Instant),
    ) -> Result<Reloaded, ConfigErrors> {
        let done = settings.and_then(|settings| {
            let made = self.make(&settings, parts.stored.as_ref())?;
            self.refuse_new_clashes(&made.left_out)?;
            let done = self.enforce(made, parts, (cause, began))?;
            parts.settings = settings;
            Ok(done)
        });
        self.note(cause, done)
    }

    /// A file that was there and is not any more is no configuration: somebody is about to put another in its place.
    fn read_again(&self, parts: &Parts) -> Result<Settings, ConfigErrors> {
        let settings = Settings::read(&self.sources)?;
        match parts.settings.origin().filter(|_| settings.origin().is_none()) {
            Some(gone) => Err(ConfigError::of_key("", format!("{} does not exist any more", gone.display())).into()),
            None => Ok(settings),
        }
    }

    fn take_stored(&self, stored: StoredSettings) {
        let mut parts = self.parts.lock();
        let began = Instant::now();
        parts.stored = Some(stored);
        if parts.gateway.is_none() {
            return;
        }
        let done = self
            .make(&parts.settings, parts.stored.as_ref())
            .and_then(|made| self.enforce(made, &parts, (Cause::Store, began)));
        // Whatever is wrong has been noted.
        drop(self.note(Cause::Store, done));
    }

    fn check(&self, change: &SettingsChange) -> Result<(), ConfigErrors> {
        let parts = self.parts.lock();
        let mut stored = parts.stored.clone().unwrap_or_default();
        change_stored(&mut stored, change);
        let made = self.make(&parts.settings, Some(&stored))?;
        self.refuse_new_left_out(&made.left_out, change)?;
        match &parts.gateway {
            Some(gateway) => gateway.check(made.config.into()).map_err(|errors| compile_errors(&errors)),
            None => Ok(()),
        }
    }

    /// Makes a configuration of its parts, as far as that goes without putting it into force.
    fn make(&self, settings: &Settings, stored: Option<&StoredSettings>) -> Result<Made, ConfigErrors> {
        let Loaded { mut config, left_out, warnings, .. } = settings.resolve(stored, &self.vocabulary)?;
        self.host.prepare(&mut config)?;
        Ok(Made { config, left_out, warnings })
    }

    fn enforce(&self, made: Made, parts: &Parts, (cause, began): (Cause, Instant)) -> Result<Reloaded, ConfigErrors> {
        let Some(gateway) = &parts.gateway else {
            return Err(ConfigError::of_key("", "the gateway has not been started").into());
        };
        let Made { mut config, left_out, warnings } = made;
        let before = gateway.config();
        let difference = Difference::between(&before, &config);
        config.keep_fixed(&before);
        let config = Arc::new(config);
        if !difference.waits_for_restart() {
            gateway.reconfigure(Arc::clone(&config)).map_err(|errors| compile_errors(&errors))?;
        }
        if !difference.is_empty() {
            say_what_changed(cause, gateway.version(), &difference, began.elapsed());
        }
        // Also if the configuration is the same: a certificate may be another one at its old place.
        self.host.adopt(&config);
        say_what_is_left_out(&left_out, &self.status.read().left_out);
        self.note_in_force(gateway, parts, left_out);
        Ok(Reloaded { version: gateway.version(), difference, warnings })
    }

    fn note_in_force(&self, gateway: &Gateway, parts: &Parts, left_out: Vec<LeftOut>) {
        let mut status = self.status.write();
        if status.version != gateway.version() {
            status.version = gateway.version();
            status.loaded_at = Timestamp::now();
        }
        status.source = source(parts);
        status.last_error = None;
        status.left_out = left_out;
    }

    fn note<T>(&self, cause: Cause, done: Result<T, ConfigErrors>) -> Result<T, ConfigErrors> {
        if let Err(errors) = &done {
            tracing::error!(cause = cause.as_str(), %errors, "the configuration is refused; the one in force stays");
            self.status.write().last_error = Some(Arc::new(errors.clone()));
        }
        done
    }

    /// A file that takes the name of a provider in the store would put that one out of service.
    fn refuse_new_clashes(&self, left_out: &[LeftOut]) -> Result<(), ConfigErrors> {
        let known = &self.status.read().left_out;
        let clashes = left_out.iter().filter(|it| matches!(it.reason, LeftOutReason::NameClash { .. }));
        none_of(clashes.filter(|clash| !known.contains(clash)).flat_map(LeftOut::errors))
    }

    /// A change must not put anything out of service, neither what it is about nor what rests on that.
    fn refuse_new_left_out(&self, left_out: &[LeftOut], change: &SettingsChange) -> Result<(), ConfigErrors> {
        let known = &self.status.read().left_out;
        let (kind, name) = change.object();
        let is_object = |it: &LeftOut| it.kind == kind && it.name == **name;
        none_of(left_out.iter().filter(|it| is_object(it) || !known.contains(it)).flat_map(LeftOut::errors))
    }
}

/// Fails if there are any.
fn none_of(errors: impl Iterator<Item = ConfigError>) -> Result<(), ConfigErrors> {
    let mut errors = errors.peekable();
    if errors.peek().is_none() { Ok(()) } else { Err(errors.collect()) }
}

/// A configuration that is good by itself.
struct Made {
    config: Config,
    left_out: Vec<LeftOut>,
    warnings: Vec<String>,
}

/// What the store would say behind a change.
fn change_stored(stored: &mut StoredSettings, change: &SettingsChange) {
    let (kind, name) = change.object();
    stored.records.retain(|record| (record.kind, &record.name) != (kind, name));
    stored.unreadable.retain(|row| (row.kind, row.name.as_str()) != (kind, name));
    if let SettingsChange::Insert(record) | SettingsChange::Replace(record) = change {
        let place = stored.records.partition_point(|other| (other.kind, &other.name) < (kind, name));
        stored.records.insert(place, record.clone());
    }
}

fn source(parts: &Parts) -> &'static str {
    let is_stored = parts.stored.as_ref().is_some_and(|stored| !stored.records.is_empty());
    match (parts.settings.origin().is_some(), is_stored) {
        (true, true) => "file and store",
        (true, false) => "file",
        (false, true) => "environment and store",
        (false, false) => "environment",
    }
}

fn compile_errors(errors: &CompileErrors) -> ConfigErrors {
    errors.iter().map(|error| ConfigError::of_key(error.at.as_str(), error.problem.as_str())).collect()
}

/// `took` is from the beginning of reading until calls are served by what was read.
fn say_what_changed(cause: Cause, version: u64, difference: &Difference, took: Duration) {
    let Difference { added, removed, changed, needs_restart } = difference;
    let (cause, took_ms) = (cause.as_str(), took.as_secs_f64() * 1000.0);
    tracing::info!(cause, version, took_ms, ?added, ?removed, ?changed, "another configuration is in force");
    if !needs_restart.is_empty() {
        tracing::warn!(settings = ?needs_restart, "these settings come into force at the next start");
    }
}

fn say_what_is_left_out(left_out: &[LeftOut], known: &[LeftOut]) {
    for it in left_out.iter().filter(|it| !known.contains(it)) {
        tracing::error!(kind = %it.kind, name = it.name, problem = %it.reason, "an entry of the store is left out");
    }
    for it in known.iter().filter(|it| !left_out.contains(it)) {
        tracing::info!(kind = %it.kind, name = it.name, "an entry of the store is no longer left out as it was");
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("status", &*self.shared.status.read()).finish_non_exhaustive()
    }
}
