//! A few connections to a database, made when they are needed and kept for the next who asks.
//!
//! sqlx has a pool. It hides why a connection cannot be had, by trying until its own deadline, so that an outage is
//! noticed seconds late and told as "timed out"; and it waits without end for the answer of a connection that is given
//! back, which a network that swallows packets never delivers. A store needs to know at once, and why. It asks for few
//! connections and never for one on the path of a call, so a shelf of them is enough.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use crate::sql_store::{Dialect, Driven, Failure};

/// How many there are at most.
const MOST: usize = 4;
/// How long making one may take: long enough for a TLS handshake across an ocean, short enough to wait for.
const PATIENCE: Duration = Duration::from_secs(3);
/// One that lay about for longer may have been forgotten by a firewall on the way, which tells nobody.
const FRESH: Duration = Duration::from_mins(1);

/// Connections of one dialect.
pub(crate) struct Connections<D: Dialect> {
    permits: Semaphore,
    spare: Mutex<Vec<(Instant, Driven<D>)>>,
}

/// A connection that is in use. It is closed when it is dropped, unless it is given back.
pub(crate) struct Lease<'a, D: Dialect> {
    connection: Driven<D>,
    shelf: &'a Connections<D>,
    _permit: SemaphorePermit<'a>,
}

impl<D: Dialect> Connections<D> {
    pub(crate) fn new() -> Self {
        Self { permits: Semaphore::new(MOST), spare: Mutex::default() }
    }

    /// A connection that has just answered.
    pub(crate) async fn lease(&self, dialect: &D) -> Result<Lease<'_, D>, Failure> {
        let permit = timeout(PATIENCE, self.permits.acquire()).await?.map_err(|_| sqlx::Error::PoolClosed)?;
        let connection = match self.spare_one().await {
            Some(connection) => connection,
            None => connect(dialect).await?,
        };
        Ok(Lease { connection, shelf: self, _permit: permit })
    }

    async fn spare_one(&self) -> Option<Driven<D>> {
        while let Some((since, mut connection)) = self.next_spare() {
            let is_fresh = since.elapsed() < FRESH;
            if is_fresh && matches!(timeout(PATIENCE, connection.ping()).await, Ok(Ok(()))) {
                return Some(connection);
            }
        }
        None
    }

    /// The one that was used last, so that those which are not needed grow old.
    fn next_spare(&self) -> Option<(Instant, Driven<D>)> {
        self.spare.lock().pop()
    }
}

/// A connection of its own, which is not counted.
pub(crate) async fn connect<D: Dialect>(dialect: &D) -> Result<Driven<D>, Failure> {
    timeout(PATIENCE, async {
        let mut connection = dialect.options().connect().await?;
        dialect.prepare(&mut connection).await?;
        Ok(connection)
    })
    .await?
}

impl<D: Dialect> Lease<'_, D> {
    /// Keeps the connection for the next who asks. Only for one that has answered to everything that it was asked.
    pub(crate) fn give_back(self) {
        self.shelf.spare.lock().push((Instant::now(), self.connection));
    }
}

impl<D: Dialect> Deref for Lease<'_, D> {
    type Target = Driven<D>;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl<D: Dialect> DerefMut for Lease<'_, D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}
