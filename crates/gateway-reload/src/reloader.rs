//! One way into force for every configuration, whatever brings it about.

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use gateway_config::{
    Config, ConfigError, ConfigErrors, Difference, LeftOut, LeftOutReason, Loaded, Settings, Sources, Vocabulary,
};
use gateway_core::{Gateway, GatewayBuilder};
use gateway_keystore::{SettingsChange, StoredSettings};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::host::Host;
use crate::looks::Looks;
use crate::making::{Made, Making, compile_errors};
use crate::report;
use crate::status::{Reloaded, Reloads, Status};
use crate::watch::FileWatch;

/// Keeps a gateway at what its sources say. Cheap to clone.
#[derive(Clone)]
pub struct Reloader {
    shared: Arc<Shared>,
    /// One reads the files at a time, so that what is read later also comes into force later. Nobody waits for this but who
    /// reads them: files may be on a disk that does not answer.
    reading: Arc<tokio::sync::Mutex<()>>,
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
    settings: Arc<Settings>,
    /// What the store says; none before it was first read.
    stored: Option<Arc<StoredSettings>>,
    /// The gateway to keep; none before the start.
    gateway: Option<Gateway>,
    /// Why the file is not in force as it is, if it is not.
    file_error: Option<Arc<ConfigErrors>>,
    /// The same of the store.
    store_error: Option<Arc<ConfigErrors>>,
    /// What the file says and only a restart brings into force.
    waiting: Vec<String>,
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
        let parts = Parts {
            settings: Arc::new(Settings::read(&sources)?),
            stored: None,
            gateway: None,
            file_error: None,
            store_error: None,
            waiting: Vec::new(),
        };
        let status = Status {
            version: 0,
            source: "nothing",
            loaded_at: Timestamp::now(),
            last_error: None,
            left_out: Vec::new(),
            reloads: Reloads::default(),
        };
        let shared = Shared { sources, vocabulary, host, parts: Mutex::new(parts), status: RwLock::new(status) };
        Ok(Self { shared: Arc::new(shared), reading: Arc::default() })
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
    /// Everything that is wrong with the configuration of the file. What is wrong with the store is left out.
    pub async fn start(&self, builder: GatewayBuilder) -> Result<Gateway, ConfigErrors> {
        self.run(move |shared| guarded(|| shared.start(builder))).await
    }

    /// Reads the sources again, and puts them into force if they are good and say something else.
    ///
    /// # Errors
    ///
    /// Everything that is wrong. The configuration in force stays.
    pub async fn reload(&self, cause: Cause) -> Result<Reloaded, ConfigErrors> {
        let _turn = self.reading.lock().await;
        self.run(move |shared| shared.reload(cause, Instant::now())).await
    }

    /// Whether the store could be changed like this, here and now.
    ///
    /// # Errors
    ///
    /// Everything that would be wrong.
    pub async fn check(&self, change: SettingsChange) -> Result<(), ConfigErrors> {
        self.run(move |shared| guarded(|| shared.check(&change))).await
    }

    /// Takes what the store says from now on. Without a store, that is nothing. Waits for a configuration that is being made,
    /// but never for files that are being read.
    ///
    /// What cannot be put into force is remembered for the next reload, and [`status`](Self::status) says why.
    pub fn take_stored(&self, stored: StoredSettings) {
        self.shared.take_stored(stored, Instant::now());
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.shared.status.read().clone()
    }

    /// Reloads whenever a file has changed, for ever. Looks at files, which may take its time: not for a task that others
    /// wait for.
    pub async fn watch_files(&self) -> Infallible {
        let mut watch = FileWatch::new(self.files());
        loop {
            watch.changed().await;
            let _turn = self.reading.lock().await;
            let looks = watch.looks().clone();
            if !self.run(move |shared| shared.reload_whole_files(&looks, Instant::now())).await {
                watch.forget();
            }
            watch.set_files(self.files());
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
            // All work is guarded, so the runtime is shutting down, and nobody waits for an answer any more.
            Err(_) => std::future::pending().await,
        }
    }
}

/// A fault of the program's own is no reason to stop serving what is in force.
fn guarded<T>(work: impl FnOnce() -> Result<T, ConfigErrors>) -> Result<T, ConfigErrors> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("a configuration made the program panic; this is a bug");
        Err(ConfigError::of_key("", "the configuration made the program panic, which is a bug; the log has more")
            .into())
    })
}

impl Shared {
    fn making(&self, cause: Cause) -> Making<'_> {
        // Nobody waits at a start or behind a change of the store who could mend the file.
        let is_strict = !matches!(cause, Cause::Start | Cause::Store);
        Making { vocabulary: &self.vocabulary, host: &*self.host, is_strict }
    }

    fn start(&self, builder: GatewayBuilder) -> Result<Gateway, ConfigErrors> {
        let mut parts = self.parts.lock();
        // Only what the store holds could be left out, so without that there is nothing to find out beforehand.
        let may_leave_out = parts.stored.as_ref().is_some_and(|stored| !stored.records.is_empty());
        let attempt = |config: Config, _: &[LeftOut]| {
            if may_leave_out {
                builder.check(&config)?;
            }
            Ok(config)
        };
        let Made { done: config, left_out, warnings } =
            self.making(Cause::Start).make(&parts.settings, parts.stored.as_deref(), attempt)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        self.host.adopt(&config)?;
        let gateway = builder.build_shared(Arc::new(config)).map_err(|errors| compile_errors(&errors))?;
        report::left_out(&left_out, &[]);
        parts.gateway = Some(gateway.clone());
        self.note_in_force(&gateway, source(&parts.settings, parts.stored.as_deref()), left_out);
        Ok(gateway)
    }

    fn reload(&self, cause: Cause, began: Instant) -> Result<Reloaded, ConfigErrors> {
        let settings = guarded(|| self.read());
        self.replace_settings(settings, cause, began)
    }

    /// The same for files that were whole when they looked like this, unless somebody has begun to write them again. Returns
    /// whether nobody has.
    fn reload_whole_files(&self, looks: &Looks, began: Instant) -> bool {
        let settings = guarded(|| self.read());
        let is_whole = looks.are_the_same();
        if is_whole {
            // Whatever is wrong is noted.
            drop(self.replace_settings(settings, Cause::File, began));
        }
        is_whole
    }

    /// Reads the sources, of which none may be a pipe by now: nobody may ever write into it.
    fn read(&self) -> Result<Settings, ConfigErrors> {
        let files = self.parts.lock().settings.files().to_vec();
        let is_odd = |file: &&PathBuf| file.metadata().is_ok_and(|metadata| !metadata.is_file());
        if let Some(odd) = files.iter().find(is_odd) {
            let problem = format!("{} cannot be read: it is not a file any more", odd.display());
            return Err(ConfigError::of_key("", problem).into());
        }
        Settings::read(&self.sources)
    }

    fn replace_settings(
        &self,
        settings: Result<Settings, ConfigErrors>,
        cause: Cause,
        began: Instant,
    ) -> Result<Reloaded, ConfigErrors> {
        let mut parts = self.parts.lock();
        let done = guarded(|| {
            let settings = settings?;
            refuse_missing(&settings, &parts.settings)?;
            let stored = parts.stored.clone();
            let done = self.enforce(&settings, stored.as_deref(), &mut parts, (cause, began))?;
            parts.settings = Arc::new(settings);
            Ok(done)
        });
        parts.file_error = noted(cause, &done);
        if done.is_ok() {
            // What the store says is part of what came into force.
            parts.store_error = None;
        }
        self.note_reload(&parts, done.is_ok());
        done
    }

    fn take_stored(&self, stored: StoredSettings, began: Instant) {
        let mut parts = self.parts.lock();
        if parts.gateway.is_some() {
            let settings = Arc::clone(&parts.settings);
            let done = guarded(|| self.enforce(&settings, Some(&stored), &mut parts, (Cause::Store, began)));
            parts.store_error = noted(Cause::Store, &done);
            self.note_reload(&parts, done.is_ok());
        }
        parts.stored = Some(Arc::new(stored));
    }

    fn check(&self, change: &SettingsChange) -> Result<(), ConfigErrors> {
        let parts = self.parts.lock();
        let mut stored = parts.stored.as_deref().cloned().unwrap_or_default();
        change_stored(&mut stored, change);
        let attempt = |config: Config, _: &[LeftOut]| match &parts.gateway {
            Some(gateway) => Ok(gateway.check(config.into())?),
            None => Ok(()),
        };
        let made = self.making(Cause::Request).make(&parts.settings, Some(&stored), attempt)?;
        self.refuse_new_left_out(&made.left_out, change)
    }

    /// Makes a configuration and puts it into force, by one swap.
    fn enforce(
        &self,
        settings: &Settings,
        stored: Option<&StoredSettings>,
        parts: &mut Parts,
        (cause, began): (Cause, Instant),
    ) -> Result<Reloaded, ConfigErrors> {
        let Some(gateway) = parts.gateway.clone() else {
            return Err(ConfigError::of_key("", "the gateway has not been started").into());
        };
        let before = gateway.config();
        let known = self.status.read().left_out.clone();
        let attempt = |mut config: Config, left_out: &[LeftOut]| {
            let difference = Difference::between(&before, &config);
            if cause != Cause::Store {
                refuse_new_clashes(left_out, &known)?;
                // Also if the configuration is the same: a certificate may be another one at its old place.
                self.host.adopt(&config)?;
            }
            config.keep_fixed(&before);
            if !difference.waits_for_restart() {
                gateway.reconfigure(config.into())?;
            }
            Ok(difference)
        };
        let Made { done: difference, left_out, warnings } = self.making(cause).make(settings, stored, attempt)?;
        if !difference.waits_for_restart() {
            report::in_force(cause, gateway.version(), &difference, began.elapsed());
        }
        report::waiting(&difference.needs_restart, &parts.waiting);
        parts.waiting.clone_from(&difference.needs_restart);
        report::left_out(&left_out, &known);
        self.note_in_force(&gateway, source(settings, stored), left_out);
        Ok(Reloaded { version: gateway.version(), difference, warnings })
    }

    fn note_in_force(&self, gateway: &Gateway, source: &'static str, left_out: Vec<LeftOut>) {
        let mut status = self.status.write();
        if status.version != gateway.version() {
            status.version = gateway.version();
            status.loaded_at = Timestamp::now();
        }
        status.source = source;
        status.left_out = left_out;
    }

    /// Notes how a reload ended, one that changed nothing included.
    fn note_reload(&self, parts: &Parts, is_good: bool) {
        let mut status = self.status.write();
        status.last_error = parts.file_error.clone().or_else(|| parts.store_error.clone());
        let count = if is_good { &mut status.reloads.succeeded } else { &mut status.reloads.refused };
        *count += 1;
    }

    /// A change must not put anything out of service, neither what it is about nor what rests on that.
    fn refuse_new_left_out(&self, left_out: &[LeftOut], change: &SettingsChange) -> Result<(), ConfigErrors> {
        let known = &self.status.read().left_out;
        let (kind, name) = change.object();
        let is_object = |it: &LeftOut| it.kind == kind && it.name == **name;
        let new = left_out.iter().filter(|it| is_object(it) || !report::is_among(it, known));
        none_of(new.flat_map(LeftOut::errors))
    }
}

/// A file that was there and is not any more is no configuration: somebody is about to put another in its place.
fn refuse_missing(settings: &Settings, before: &Settings) -> Result<(), ConfigErrors> {
    match before.origin().filter(|_| settings.origin().is_none()) {
        Some(gone) => Err(ConfigError::of_key("", format!("{} does not exist any more", gone.display())).into()),
        None => Ok(()),
    }
}

/// A file that takes the name of an entry of the store would put that one out of service.
fn refuse_new_clashes(left_out: &[LeftOut], known: &[LeftOut]) -> Result<(), ConfigErrors> {
    let clashes = left_out.iter().filter(|it| matches!(it.reason, LeftOutReason::NameClash { .. }));
    none_of(clashes.filter(|clash| !report::is_among(clash, known)).flat_map(LeftOut::errors))
}

/// Fails if there are any.
fn none_of(errors: impl Iterator<Item = ConfigError>) -> Result<(), ConfigErrors> {
    let mut errors = errors.peekable();
    if errors.peek().is_none() { Ok(()) } else { Err(errors.collect()) }
}

/// Says what was refused, and gives why.
fn noted<T>(cause: Cause, done: &Result<T, ConfigErrors>) -> Option<Arc<ConfigErrors>> {
    let errors = done.as_ref().err()?;
    report::refused(cause, errors);
    Some(Arc::new(errors.clone()))
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

fn source(settings: &Settings, stored: Option<&StoredSettings>) -> &'static str {
    let is_stored = stored.is_some_and(|stored| !stored.records.is_empty());
    match (settings.origin().is_some(), is_stored) {
        (true, true) => "file and store",
        (true, false) => "file",
        (false, true) => "environment and store",
        (false, false) => "environment",
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("status", &*self.shared.status.read()).finish_non_exhaustive()
    }
}
