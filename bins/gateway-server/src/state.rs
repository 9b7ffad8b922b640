//! What outlives the process, and what several processes share: the store of keys, and the counters of limits.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gateway_config::{Config, OnRedisError, Redis, StorePlace};
use gateway_core::{Condition, GatewayBuilder};
use gateway_keystore::KeyDirectory;
use gateway_ratelimit::{LocalLimits, Moment, SpendBook};
use gateway_ratelimit_redis::{OnError, RedisLimits, RedisSettings, RedisStatus};
use gateway_store::{Backend, Follower, Following, LoadedFrom, SqliteStore};
use jiff::Timestamp;
use tokio::time::{Instant, interval, timeout};

/// How long the start waits for the keys of a store. With SQLite it takes milliseconds; while a server is away, the process
/// had better listen and say so.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often counters that say nothing any more are forgotten.
const SWEEP: Duration = Duration::from_mins(1);

/// What a process has of all this.
pub(crate) struct State {
    pub(crate) stored: Option<Stored>,
    counters: Counters,
}

/// A store and the copy of its keys.
pub(crate) struct Stored {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) follower: Arc<Follower>,
    directory: Arc<KeyDirectory>,
}

/// Who counts what keys spend.
enum Counters {
    Local(Arc<LocalLimits>),
    Shared(Arc<RedisLimits>),
}

impl State {
    /// Opens what the configuration asks for. What cannot be reached yet is waited for in the background.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let counters = match &config.redis {
            Some(redis) => Counters::Shared(connect(redis).await?),
            None => Counters::local(),
        };
        let stored = match backend(config)? {
            Some(backend) => Some(Stored::follow(backend, counters.book(), snapshot_path(config)?).await?),
            None => None,
        };
        Ok(Self { stored, counters })
    }

    /// Gives a gateway what it needs of this.
    pub(crate) fn equip(&self, builder: GatewayBuilder) -> GatewayBuilder {
        let builder = match &self.counters {
            Counters::Local(limits) => builder.limit_store(Arc::<LocalLimits>::clone(limits)),
            Counters::Shared(limits) => builder
                .limit_store(Arc::<RedisLimits>::clone(limits))
                .condition(Arc::new(RedisCondition(Arc::clone(limits)))),
        };
        match &self.stored {
            Some(stored) => {
                let keys = Arc::<KeyDirectory>::clone(&stored.directory);
                builder.key_store(keys).condition(Arc::new(StoreCondition(Arc::clone(&stored.follower))))
            }
            None => builder,
        }
    }

    /// Keeps house, for ever.
    pub(crate) async fn keep_house(&self) -> Infallible {
        self.counters.sweep().await
    }

    /// Writes what has not been written yet.
    pub(crate) async fn close(self) {
        if let Counters::Shared(limits) = &self.counters {
            limits.close().await;
        }
        if let Some(stored) = self.stored {
            stored.follower.stop().await;
        }
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
    async fn follow(
        backend: Arc<dyn Backend>,
        spending: Arc<dyn SpendBook>,
        snapshot: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let directory = Arc::new(KeyDirectory::default());
        let following =
            Following { backend: Arc::clone(&backend), directory: Arc::clone(&directory), spending, snapshot };
        let follower = Arc::new(Follower::start(following).await.context("store")?);
        // Without keys yet, the process listens all the same, and says that it is not ready.
        let _ = timeout(PATIENCE, follower.ready()).await;
        Ok(Self { backend, follower, directory })
    }
}

/// The store of a configuration, none if it has none.
pub(crate) fn backend(config: &Config) -> anyhow::Result<Option<Arc<dyn Backend>>> {
    Ok(match &config.store.place {
        StorePlace::Nowhere => None,
        // Nobody asked for a file, so none is made unless there is somebody to write to it.
        StorePlace::Default(path) if config.admin.key.is_none() && !path.exists() => None,
        StorePlace::Default(path) | StorePlace::Sqlite(path) => Some(sqlite(path)?),
        StorePlace::Postgres(url) => Some(Arc::new(gateway_store_postgres::open(url).context("store.url")?)),
    })
}

/// The store of a command that works on one, which is made if need be.
pub(crate) fn required_backend(config: &Config) -> anyhow::Result<Arc<dyn Backend>> {
    match &config.store.place {
        StorePlace::Default(path) => sqlite(path),
        _ => backend(config)?.context(
            "store.url is `none`, so there is no store; set it, or DB_URL, to sqlite:PATH or a \
                                        postgresql:// URL",
        ),
    }
}

fn sqlite(path: &Path) -> anyhow::Result<Arc<dyn Backend>> {
    Ok(Arc::new(SqliteStore::open(&path.to_string_lossy()).context("store.url")?))
}

/// Where the last good copy of the keys is kept: in the directory that is set for such things, else beside an SQLite file.
fn snapshot_path(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let file = match &config.store.place {
        StorePlace::Default(path) | StorePlace::Sqlite(path) => Some(path.with_added_extension("last-good")),
        StorePlace::Nowhere | StorePlace::Postgres(_) => None,
    };
    let Some(directory) = &config.server.state_dir else { return Ok(file) };
    std::fs::create_dir_all(directory).context("server.state_dir cannot be made")?;
    Ok(Some(directory.join("keys.last-good")))
}

async fn connect(redis: &Redis) -> anyhow::Result<Arc<RedisLimits>> {
    let on_error = match redis.on_error {
        OnRedisError::Local => OnError::Local,
        OnRedisError::Deny => OnError::Deny,
    };
    let settings = RedisSettings { on_error, ..RedisSettings::new(redis.url.clone()) };
    Ok(Arc::new(RedisLimits::connect(settings).await.context("redis.url")?))
}

/// What `/readyz` says of the store. While it is away, known keys are served; before any are known, nothing is.
struct StoreCondition(Arc<Follower>);

impl Condition for StoreCondition {
    fn name(&self) -> &'static str {
        "store"
    }

    fn state(&self) -> &'static str {
        let status = self.0.status();
        match (status.is_reachable, status.loaded_from) {
            (true, _) => "reachable",
            (false, LoadedFrom::Store) => "unreachable, serving the keys known",
            (false, LoadedFrom::Snapshot) => "unreachable, serving the keys of the last good snapshot",
            (false, LoadedFrom::Nothing) => "unreachable, no keys known",
        }
    }

    fn is_serviceable(&self) -> bool {
        self.0.status().loaded_from != LoadedFrom::Nothing
    }
}

/// What `/readyz` says of Redis, without which calls are served as `redis.on_error` says.
struct RedisCondition(Arc<RedisLimits>);

impl Condition for RedisCondition {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn state(&self) -> &'static str {
        match self.0.status() {
            RedisStatus::Reachable => "reachable",
            RedisStatus::Unreachable { .. } => "unreachable",
        }
    }

    fn is_serviceable(&self) -> bool {
        true
    }
}
