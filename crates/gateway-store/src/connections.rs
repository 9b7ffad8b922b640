//! A few connections to a database, made when they are needed and kept for the next who asks.
//!
//! sqlx has a pool. It hides why a connection cannot be had, by trying until its own deadline, so that an outage is
//! noticed seconds late and told as "timed out"; and it waits without end for the answer of a connection that is given
//! back, which a network that swallows packets never delivers. A store needs to know at once, and why. It asks for few
//! connections and never for one on the path of a call, so a shelf of them is enough.
//!
//! A database may be taken away or replaced while there are connections to it, as a file may be. SQLite would go on writing
//! into what nobody can find any more, so the shelf looks before each use whether the database is still the one that it
//! connected to, and lets go of all connections if it is not.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::{ConnectOptions, Connection};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::sql_store::{Dialect, Driven, Failure};

/// How many there are at most.
const MOST: u32 = 4;
/// How long making a connection may take: long enough for a TLS handshake across an ocean, short enough to wait for.
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// One that lay about for longer may have been forgotten by a firewall on the way, which tells nobody.
const FRESH: Duration = Duration::from_mins(1);

/// Tells a database from another that is put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity {
    /// The device that a file is on.
    pub device: u64,
    /// Its number there. Numbers of files that are gone are given out again,
    pub inode: u64,
    /// so this is when it was made, where the file system knows that.
    pub made: Option<SystemTime>,
}

/// What a store is kept in cannot be used, and will not be until somebody sees to it. Says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct Misplaced {
    /// What is wrong with what, and what to do. Holds no secret.
    pub problem: String,
}

/// Connections of one dialect.
pub(crate) struct Connections<D: Dialect> {
    permits: Semaphore,
    shelf: Mutex<Shelf<D>>,
    /// Those that are being closed because their users have gone in the middle of something: at once, since what they have locked is
    /// locked until then, and counted, since an SQLite file keeps its log if the process ends before that.
    leaving: TaskTracker,
    generation: AtomicU64,
}

struct Shelf<D: Dialect> {
    /// Which database the connections lead to; none before the first.
    database: Option<Identity>,
    spare: Vec<(Instant, Driven<D>)>,
}

/// A connection that is in use. It is closed when this is dropped, unless it is given back.
pub(crate) struct Lease<'a, D: Dialect> {
    /// None at the end only.
    connection: Option<Driven<D>>,
    home: &'a Connections<D>,
    /// None until it is known to answer.
    permit: Option<SemaphorePermit<'a>>,
}

impl<D: Dialect> Connections<D> {
    pub(crate) fn new() -> Self {
        Self {
            permits: Semaphore::new(MOST as usize),
            shelf: Mutex::new(Shelf { database: None, spare: Vec::new() }),
            leaving: TaskTracker::new(),
            generation: AtomicU64::new(0),
        }
    }

    /// A connection that has just answered, to the database that is there now. Who finds that it is another one, or gone,
    /// gets an error, and everybody's connections are closed.
    pub(crate) async fn lease(&self, dialect: &D) -> Result<Lease<'_, D>, Failure> {
        let permit = timeout(CONNECT_PATIENCE, self.permits.acquire()).await.map_err(|_| Failure::all_in_use())?;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        let found = dialect.identity();
        if let Some(before) = self.replaced(&found) {
            drop(permit);
            self.abandon(before).await?;
            found?;
            return Err(Failure::misplaced("another database was put in the place of the store and is read anew"));
        }
        found?;
        let mut lease = match self.spare_one().await {
            Some(lease) => lease,
            None => self.connect(dialect).await?,
        };
        lease.permit = Some(permit);
        Ok(lease)
    }

    /// Fails if the database was taken away since the connections were made. For what was written: it may be in the one that
    /// is gone, and nobody may be told that it was done.
    pub(crate) fn confirm(&self, dialect: &D) -> Result<(), Failure> {
        let found = dialect.identity()?;
        if self.shelf.lock().database == Some(found) {
            return Ok(());
        }
        Err(Failure::misplaced("the store was replaced while it was written to, and may not have what was written"))
    }

    /// Counts how often the database was another than the one before, or gone.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Closes what is not in use, and waits for what is, but not for long.
    pub(crate) fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let all = timeout(CONNECT_PATIENCE, self.permits.acquire_many(MOST)).await;
            let spare = std::mem::take(&mut self.shelf.lock().spare);
            self.close_all(spare).await;
            drop(all);
        })
    }

    /// Which database there was before, if it is not the one that was found.
    fn replaced(&self, found: &Result<Identity, Failure>) -> Option<Identity> {
        let mut kept = self.shelf.lock();
        match found {
            Ok(found) => Some(*kept.database.get_or_insert(*found)).filter(|before| before != found),
            Err(_) => kept.database,
        }
    }

    /// Lets go of a database that is no longer there. Nobody connects to the next one before the last connection to this one
    /// is closed: SQLite's locks are the process's, not the connection's.
    async fn abandon(&self, before: Identity) -> Result<(), Failure> {
        let all = timeout(CONNECT_PATIENCE, self.permits.acquire_many(MOST)).await?;
        let spare = {
            let mut kept = self.shelf.lock();
            if kept.database != Some(before) {
                // Somebody else has been faster.
                return Ok(());
            }
            kept.database = None;
            self.generation.fetch_add(1, Ordering::AcqRel);
            std::mem::take(&mut kept.spare)
        };
        self.close_all(spare).await;
        drop(all);
        Ok(())
    }

    async fn spare_one(&self) -> Option<Lease<'_, D>> {
        while let Some((since, connection)) = self.next_spare() {
            let mut lease = self.hold(connection);
            let is_fresh = since.elapsed() < FRESH;
            if is_fresh && matches!(timeout(CONNECT_PATIENCE, lease.ping()).await, Ok(Ok(()))) {
                return Some(lease);
            }
        }
        None
    }

    async fn connect(&self, dialect: &D) -> Result<Lease<'_, D>, Failure> {
        timeout(CONNECT_PATIENCE, async {
            let mut lease = self.hold(dialect.options().connect().await?);
            dialect.prepare(&mut lease).await?;
            Ok(lease)
        })
        .await?
    }

    /// Closes one after the other, and last those that nobody was using: of two that close an SQLite file at once, each sees the other
    /// and leaves the log to it.
    async fn close_all(&self, spare: Vec<(Instant, Driven<D>)>) {
        let all = async {
            self.leaving.close();
            self.leaving.wait().await;
            for (_, connection) in spare {
                // One that cannot say goodbye is dropped, which is as good.
                let _ = connection.close().await;
            }
        };
        let _ = timeout(CONNECT_PATIENCE, all).await;
        self.leaving.reopen();
    }

    fn hold(&self, connection: Driven<D>) -> Lease<'_, D> {
        Lease { connection: Some(connection), home: self, permit: None }
    }

    /// The one that was used last, so that those which are not needed grow old.
    fn next_spare(&self) -> Option<(Instant, Driven<D>)> {
        self.shelf.lock().spare.pop()
    }
}

impl<D: Dialect> Lease<'_, D> {
    /// Lets go of the place among the few, and keeps the connection. For one that is still at work when its caller has gone.
    pub(crate) fn into_connection(mut self) -> Option<Driven<D>> {
        self.connection.take()
    }

    /// Keeps the connection for the next who asks. Only for one that has answered to everything that it was asked.
    pub(crate) fn give_back(mut self) {
        let connection = self.connection.take().map(|connection| (Instant::now(), connection));
        self.home.shelf.lock().spare.extend(connection);
    }
}

impl<D: Dialect> Drop for Lease<'_, D> {
    fn drop(&mut self) {
        if let (Some(connection), Ok(runtime)) = (self.connection.take(), Handle::try_current()) {
            let closing = async { timeout(CONNECT_PATIENCE, connection.close()).await };
            self.home.leaving.spawn_on(closing, &runtime);
        }
    }
}

impl<D: Dialect> Deref for Lease<'_, D> {
    type Target = Driven<D>;

    fn deref(&self) -> &Self::Target {
        self.connection.as_ref().unwrap_or_else(|| unreachable!("{AT_THE_END}"))
    }
}

impl<D: Dialect> DerefMut for Lease<'_, D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.connection.as_mut().unwrap_or_else(|| unreachable!("{AT_THE_END}"))
    }
}

/// Why a lease has a connection.
const AT_THE_END: &str = "only what consumes a lease takes its connection";
