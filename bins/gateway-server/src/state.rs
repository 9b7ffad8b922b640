//! What outlives the process, and what several processes share: the store of keys, and the counters of limits.

mod condition;

use std::convert::Infallible;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use gateway_config::{Config, OnRedisError, Redis, StorePlace};
use gateway_core::{Condition, GatewayBuilder};
use gateway_keystore::{Changes, KeyDirectory, StoreError, StoredSettings};
use gateway_ratelimit::{LocalLimits, Moment, SpendBook};
use gateway_ratelimit_redis::{OnError, RedisLimits, RedisSettings};
use gateway_reload::Reloader;
use gateway_secret::KeyDigester;
use gateway_store::{Backend, Follower, Following, SettingsBook, SqliteStore, UsageBook, UsageWriter, Vault};
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::{Instant, interval, sleep, timeout};

use self::condition::{AwaitedCondition, RedisCondition, StoreCondition};
use crate::serve::StopSignals;

/// How long the start waits for the keys of a store before it says so. With SQLite it takes milliseconds; while a server is
/// away, a process had better listen and say that it is not ready, unless another serves at its address.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often to look for a store that nobody has made yet.
const LOOK: Duration = Duration::from_millis(250);

/// How often counters that say nothing any more are forgotten.
const SWEEP: Duration = Duration::from_mins(1);

/// What a process has of all this.
pub(crate) struct State {
    pub(crate) stored: Option<Stored>,
    awaited: Option<Arc<Awaited>>,
    counters: Counters,
}

/// A store and the copy of its keys.
pub(crate) struct Stored {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) follower: Arc<Follower>,
    /// Writes what calls take.
    pub(crate) usage: Arc<UsageWriter>,
    directory: Arc<KeyDirectory>,
}

/// The default store of a gateway without an administrator, while nobody has made it. `gateway-server keys create` does,
/// and its keys are to work at once.
struct Awaited {
    path: PathBuf,
    plan: Plan,
    followed: OnceCell<Followed>,
}

/// A store that is followed, and written to.
struct Followed {
    follower: Arc<Follower>,
    usage: Arc<UsageWriter>,
}

/// What it takes to follow a store, but for the store.
struct Plan {
    directory: Arc<KeyDirectory>,
    settings: Arc<dyn SettingsBook>,
    spending: Arc<dyn SpendBook>,
    usage: Arc<UsageBook>,
    snapshot: Option<PathBuf>,
    vault: Option<Arc<Vault>>,
    digester: KeyDigester,
    remedy: String,
}

/// Who counts what keys spend.
enum Counters {
    Local(Arc<LocalLimits>),
    Shared(Arc<RedisLimits>),
}

impl State {
    /// Opens what the configuration asks for. What cannot be reached yet is waited for in the background. The providers and
    /// models that are found go to the reloader, and what is counted in `usage` goes to the store.
    pub(crate) async fn open(config: &Config, reloader: &Reloader, usage: Arc<UsageBook>) -> anyhow::Result<Self> {
        let counters = match &config.redis {
            Some(redis) => Counters::Shared(connect(redis).await?),
            None => Counters::local(),
        };
        let plan = Plan { usage, ..Plan::of(config, counters.book(), Arc::new(Forwarded(reloader.clone())))? };
        let (stored, awaited) = match (backend(config)?, &config.store.place) {
            (Some(backend), _) => {
                let stored = Stored::follow(backend, plan).await?;
                // The calls that would come to this process have one that can serve them until then.
                if config.server.reuse_port {
                    stored.known().await?;
                }
                (Some(stored), None)
            }
            (None, StorePlace::Default(path)) => (None, Some(Arc::new(Awaited::new(path.clone(), plan)))),
            (None, _) => {
                plan.settings.take(StoredSettings::default());
                (None, None)
            }
        };
        Ok(Self { stored, awaited, counters })
    }

    /// Gives a gateway what it needs of this.
    pub(crate) fn equip(&self, builder: GatewayBuilder) -> GatewayBuilder {
        let builder = match &self.counters {
            Counters::Local(limits) => builder.limit_store(Arc::<LocalLimits>::clone(limits)),
            Counters::Shared(limits) => builder
                .limit_store(Arc::<RedisLimits>::clone(limits))
                .condition(Arc::new(RedisCondition(Arc::clone(limits)))),
        };
        let (directory, condition): (_, Arc<dyn Condition>) = match (&self.stored, &self.awaited) {
            (Some(stored), _) => (&stored.directory, Arc::new(StoreCondition(Arc::clone(&stored.follower)))),
            (None, Some(awaited)) => (&awaited.plan.directory, Arc::new(AwaitedCondition(Arc::clone(awaited)))),
            (None, None) => return builder,
        };
        builder.key_store(Arc::<KeyDirectory>::clone(directory)).condition(condition)
    }

    /// Whether there are keys in the store whose tokens matter.
    pub(crate) fn counts_tokens(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.directory.counts_tokens())
    }

    /// Keeps house, until something is so wrong that the process had better end.
    pub(crate) async fn keep_house(&self) -> anyhow::Error {
        tokio::select! {
            never = self.counters.sweep() => match never {},
            problem = self.follow() => anyhow!(problem),
        }
    }

    /// Returns when the store is no longer followed.
    async fn follow(&self) -> String {
        match (&self.stored, &self.awaited) {
            (Some(stored), _) => stored.follower.failed().await,
            (None, Some(awaited)) => awaited.come().await.failed().await,
            (None, None) => pending().await,
        }
    }

    /// Writes what has not been written yet. Returns how many calls' usage is lost, if there is a store.
    pub(crate) async fn close(self) -> Option<u64> {
        if let Counters::Shared(limits) = &self.counters {
            limits.close().await;
        }
        let awaited = self.awaited.as_ref().and_then(|awaited| awaited.followed.get());
        let awaited = awaited.map(|it| (&it.usage, &it.follower));
        let (usage, follower) = self.stored.as_ref().map(|it| (&it.usage, &it.follower)).or(awaited)?;
        // The store is closed with the follower.
        let lost = usage.stop().await;
        follower.stop().await;
        Some(lost)
    }
}

impl Counters {
    fn local() -> Self {
        let limits = Arc::new(LocalLimits::new(Instant::now().into_std()));
        Self::Local(limits)
    }

    /// Forgets, once a minute, what says nothing any more; for ever.
    async fn sweep(&self) -> Infallible {
        let mut ticks = interval(SWEEP);
        loop {
            ticks.tick().await;
            let at = Moment { now: Instant::now().into_std(), wall: Timestamp::now() };
            match self {
                Self::Local(limits) => limits.sweep(at),
                Self::Shared(limits) => limits.sweep(at),
            }
        }
    }

    fn book(&self) -> Arc<dyn SpendBook> {
        match self {
            Self::Local(limits) => Arc::<LocalLimits>::clone(limits),
            Self::Shared(limits) => Arc::<RedisLimits>::clone(limits),
        }
    }
}

impl Stored {
    async fn follow(backend: Arc<dyn Backend>, plan: Plan) -> anyhow::Result<Self> {
        let follower = plan.follow(Arc::clone(&backend)).await.map_err(|problem| anyhow!("store: {problem}"))?;
        // Without keys yet, the process listens all the same, and says that it is not ready.
        let _ = timeout(PATIENCE, follower.ready()).await;
        let usage = Arc::new(UsageWriter::start(plan.usage, Arc::<dyn Backend>::clone(&backend)));
        Ok(Self { backend, follower: Arc::new(follower), usage, directory: plan.directory })
    }

    /// Returns when there are keys, however long that takes; an error if there never will be any.
    async fn known(&self) -> anyhow::Result<()> {
        let Err(_) = timeout(Duration::ZERO, self.follower.ready()).await else { return Ok(()) };
        tracing::warn!("waiting for the store: with server.reuse_port, this process listens once it knows its keys");
        // Nobody else heeds them yet.
        let mut stop = StopSignals::listen()?;
        tokio::select! {
            () = self.follower.ready() => Ok(()),
            problem = self.follower.failed() => Err(anyhow!(problem)),
            () = stop.next() => bail!("stopped while it waited for the store"),
        }
    }
}

impl Plan {
    fn of(config: &Config, spending: Arc<dyn SpendBook>, settings: Arc<dyn SettingsBook>) -> anyhow::Result<Self> {
        let remedy = match &config.store.place {
            StorePlace::Default(path) | StorePlace::Sqlite(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                let path = path.display();
                format!("put a sound copy in the place of {path}, or move it away and restart to begin with no keys")
            }
            StorePlace::Nowhere | StorePlace::Postgres(_) => "mend the database that store.url names".to_owned(),
        };
        if let Some(directory) = &config.server.state_dir {
            std::fs::create_dir_all(directory).context("server.state_dir cannot be made")?;
        }
        Ok(Self {
            directory: Arc::new(KeyDirectory::default()),
            settings,
            spending,
            usage: Arc::default(),
            snapshot: snapshot_path(config),
            vault: vault(config)?,
            digester: config.store.digester(),
            remedy,
        })
    }

    /// Follows a store, and says so if what is secret in it is not sealed. An error says what is wrong with what, and what to
    /// do.
    async fn follow(&self, backend: Arc<dyn Backend>) -> Result<Follower, String> {
        let following = Following {
            backend,
            directory: Arc::clone(&self.directory),
            settings: Arc::clone(&self.settings),
            spending: Arc::clone(&self.spending),
            snapshot: self.snapshot.clone(),
            digester: self.digester.clone(),
            remedy: self.remedy.clone(),
        };
        let follower = Follower::start(following).await.map_err(|error| match error {
            StoreError::Damaged { .. } => format!("{error}; {}", self.remedy),
            _ => error.with_cause(),
        })?;
        if self.vault.is_none() {
            tracing::warn!(
                "STORE_ENCRYPTION_KEY is not set: credentials of providers are kept in the store as they are given; \
                 `openssl rand -hex 32` makes a key to seal them with"
            );
        }
        Ok(follower)
    }
}

/// Hands the providers and models of the store on to whoever makes a configuration of them.
struct Forwarded(Reloader);

impl SettingsBook for Forwarded {
    fn take(&self, settings: StoredSettings) {
        self.0.take_stored(settings);
    }
}

impl Awaited {
    fn new(path: PathBuf, plan: Plan) -> Self {
        // What is not there has no keys, and whoever presents one can be told so.
        plan.directory.apply(&Changes { is_everything: true, ..Changes::default() });
        plan.directory.set_reachable(true);
        plan.settings.take(StoredSettings::default());
        Self { path, plan, followed: OnceCell::new() }
    }

    /// Waits for the store, and follows it from then on.
    async fn come(&self) -> &Follower {
        let follow = async || {
            let mut problem = String::new();
            loop {
                sleep(LOOK).await;
                if !self.path.exists() {
                    continue;
                }
                match self.follow().await {
                    Ok(followed) => return followed,
                    Err(found) if found != problem => {
                        tracing::error!(error = found, "a store has been made here that cannot be used");
                        problem = found;
                    }
                    Err(_) => {}
                }
            }
        };
        &self.followed.get_or_init(follow).await.follower
    }

    async fn follow(&self) -> Result<Followed, String> {
        let backend = sqlite(&self.path, self.plan.vault.clone(), false).map_err(|error| format!("{error:#}"))?;
        let follower = Arc::new(self.plan.follow(Arc::<dyn Backend>::clone(&backend)).await?);
        tracing::info!(path = %self.path.display(), "a store has been made here and is followed");
        Ok(Followed { follower, usage: Arc::new(UsageWriter::start(Arc::clone(&self.plan.usage), backend)) })
    }
}

/// The store of a configuration, none if it has none.
pub(crate) fn backend(config: &Config) -> anyhow::Result<Option<Arc<dyn Backend>>> {
    Ok(match &config.store.place {
        StorePlace::Nowhere => None,
        // Nobody asked for a file, so none is made unless there is somebody to write to it.
        StorePlace::Default(path) if config.admin.key.is_none() && !path.exists() && !was_there(config) => None,
        StorePlace::Default(path) | StorePlace::Sqlite(path) => Some(sqlite(path, vault(config)?, !was_there(config))?),
        StorePlace::Postgres(url) => {
            let store = gateway_store_postgres::open(url).context("store.url")?;
            Some(Arc::new(store.sealed_with(vault(config)?)))
        }
    })
}

/// The store of a command that only looks, none if there is none or nobody has made it yet.
pub(crate) fn existing_backend(config: &Config) -> anyhow::Result<Option<Arc<dyn Backend>>> {
    match &config.store.place {
        StorePlace::Default(path) | StorePlace::Sqlite(path) if path.exists() => {
            Ok(Some(sqlite(path, vault(config)?, false)?))
        }
        StorePlace::Default(_) | StorePlace::Sqlite(_) => Ok(None),
        StorePlace::Nowhere | StorePlace::Postgres(_) => backend(config),
    }
}

/// The store of a command that works on one. Only a command that puts something into it makes its file.
pub(crate) fn required_backend(config: &Config, may_make: bool) -> anyhow::Result<Arc<dyn Backend>> {
    match &config.store.place {
        StorePlace::Default(path) | StorePlace::Sqlite(path) => {
            sqlite(path, vault(config)?, may_make && !was_there(config))
        }
        _ => backend(config)?.context(
            "store.url is `none`, so there is no store; set it, or DB_URL, to sqlite:PATH or a \
                                        postgresql:// URL",
        ),
    }
}

fn sqlite(path: &Path, vault: Option<Arc<Vault>>, may_make: bool) -> anyhow::Result<Arc<dyn Backend>> {
    let open = if may_make { SqliteStore::open } else { SqliteStore::open_existing };
    Ok(Arc::new(open(&path.to_string_lossy()).context("store.url")?.sealed_with(vault)))
}

/// What the secrets of providers are sealed with in the store, if they are.
fn vault(config: &Config) -> anyhow::Result<Option<Arc<Vault>>> {
    let keys = config.store.encryption_key.as_ref();
    Ok(keys.map(Vault::new).transpose().context("store.encryption_key")?.map(Arc::new))
}

/// Whether the store is a file that nobody has made yet, so that there are no keys in it.
pub(crate) fn is_not_made_yet(config: &Config) -> bool {
    match &config.store.place {
        StorePlace::Default(path) | StorePlace::Sqlite(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            folder.is_dir() && !path.exists() && !was_there(config)
        }
        StorePlace::Nowhere | StorePlace::Postgres(_) => false,
    }
}

/// Whether there has been a store before. If its file is missing then, somebody has to put it back: to make an empty one would
/// be to forget every key, here and in the gateways beside that follow it.
fn was_there(config: &Config) -> bool {
    snapshot_path(config).is_some_and(|path| path.exists())
}

/// Where the last good copy of the keys is kept: in the directory that is set for such things, else beside an SQLite file.
fn snapshot_path(config: &Config) -> Option<PathBuf> {
    if let Some(directory) = &config.server.state_dir {
        return Some(directory.join("keys.last-good"));
    }
    match &config.store.place {
        StorePlace::Default(path) | StorePlace::Sqlite(path) => Some(path.with_added_extension("last-good")),
        StorePlace::Nowhere | StorePlace::Postgres(_) => None,
    }
}

async fn connect(redis: &Redis) -> anyhow::Result<Arc<RedisLimits>> {
    check_redis(redis)?;
    Ok(Arc::new(RedisLimits::connect(settings(redis)).await.context("redis")?))
}

/// Fails if nothing can ever be reached at the URL, without trying to.
pub(crate) fn check_redis(redis: &Redis) -> anyhow::Result<()> {
    settings(redis).check().context("redis.url")
}

fn settings(redis: &Redis) -> RedisSettings {
    let usual = RedisSettings::new(redis.url.clone());
    RedisSettings {
        prefix: redis.prefix.clone().unwrap_or(usual.prefix),
        on_error: match redis.on_error {
            OnRedisError::Local => OnError::Local,
            OnRedisError::Deny => OnError::Deny,
        },
        timeout: redis.timeout.unwrap_or(usual.timeout),
        ..usual
    }
}
