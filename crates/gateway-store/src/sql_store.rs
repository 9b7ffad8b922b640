//! A store in an SQL database, whichever speaks one of the [`Dialect`]s.

mod failure;
mod feed;
mod keys;
mod ledger;
mod packed;
mod row;
mod schema;
mod settings;
mod statements;
mod usage;
mod write;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gateway_keystore::{Position, StoreError, StoreFuture, Version};
use sqlx::error::DatabaseError;
use sqlx::{Connection, Database};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use failure::{Failure, Fault};
pub use schema::Migration;

use crate::Vault;
use crate::connections::{Connections, Identity, Lease};
use crate::driver::{Cells, Driver, Value};
use crate::vault::Sealing;

/// How long reading and writing a few rows may take, a lock that somebody else holds included.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long reading everything may take.
const LONG_PATIENCE: Duration = Duration::from_mins(1);

/// What differs between databases.
pub trait Dialect: Send + Sync + Sized + 'static {
    /// How sqlx talks to it.
    type Driver: Driver;

    /// The statements that are not the same everywhere.
    const STATEMENTS: Statements;
    /// How the tables come to be, in order.
    const MIGRATIONS: &'static [Migration];
    /// Whether a text may hold U+0000. Where it may not, nothing is called that, and to ask for it is an error.
    const HOLDS_NUL: bool;

    /// Where the database is, and how to get in.
    fn options(&self) -> &<Driven<Self> as Connection>::Options;

    /// Where the database is, without secrets, so that two places are told apart.
    fn place(&self) -> String;

    /// Makes a new connection ready for use.
    fn prepare<'c>(&'c self, connection: &'c mut Driven<Self>) -> BoxFuture<'c, Result<(), Failure>>;

    /// Returns when something may have changed, as [`gateway_keystore::KeyFeed::changed`] has it.
    fn changed(&self) -> StoreFuture<'_, ()>;

    /// Which database is there now. Databases that cannot be replaced under their connections are always the same one.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be used.
    fn identity(&self) -> Result<Identity, Failure> {
        Ok(Identity::default())
    }

    /// What an error that the database itself has reported is about.
    fn fault(error: &dyn DatabaseError) -> Fault;
}

/// A connection of a dialect's driver.
pub type Driven<D> = <<D as Dialect>::Driver as Database>::Connection;

/// Statements that are not the same everywhere.
#[derive(Debug)]
pub struct Statements {
    /// Begins a transaction that sees one state of everything.
    pub begin_read: &'static str,
    /// Begins a transaction that writes.
    pub begin_write: &'static str,
    /// What follows in a transaction that changes the schema, so that there is only one at a time.
    pub lock_schema: &'static [&'static str],
    /// Has a row in its answer if there is the table in which it is kept which migrations were made, `_sqlx_migrations`.
    pub find_migrations: &'static str,
    /// Every key, many to a row: lines of JSON arrays, each with what the columns of a key hold, in their order, and with
    /// digests in hexadecimal. None where the driver is not slow to read a column.
    pub every_key_packed: Option<&'static str>,
    /// Adds amounts to those that were spent and returns the sums, as `account, period, window_start, amount`. `$1` is a
    /// JSON array of arrays of these four, each window once.
    pub spend: &'static str,
    /// Adds to the sums of usage: [`crate::add_usage`] of the rows in `$1`, which is a JSON array of arrays of what the columns of
    /// `usage_hourly` hold, in their order, each row once.
    pub add_usage: &'static str,
    /// Notes when keys were used, but never an earlier time than is noted. `$1` is a JSON array of `[id, time]`.
    pub touch: &'static str,
}

/// A store in an SQL database.
pub struct SqlStore<D: Dialect> {
    dialect: D,
    connections: Connections<D>,
    sealing: Sealing,
    /// The generation of the connections in which the last write was refused, counted from 1; 0 if it was not.
    refused: AtomicU64,
    /// Whose turn it is to read a report of usage.
    reports: Arc<Semaphore>,
}

impl<D: Dialect> SqlStore<D> {
    /// A store that connects when it is first asked for something.
    pub fn new(dialect: D) -> Self {
        Self {
            dialect,
            connections: Connections::new(),
            sealing: Sealing::default(),
            refused: AtomicU64::new(0),
            reports: Arc::new(Semaphore::new(1)),
        }
    }

    /// The same store, which seals the secrets that it is given; with none, it keeps them as they are. What is not sealed
    /// can be read in any case.
    #[must_use]
    pub fn sealed_with(self, vault: Option<Arc<Vault>>) -> Self {
        Self { sealing: Sealing::new(vault), ..self }
    }

    pub(crate) fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// What is particular about it.
    pub fn dialect(&self) -> &D {
        &self.dialect
    }

    pub(crate) fn connections(&self) -> &Connections<D> {
        &self.connections
    }

    /// Whether the last write was refused, by the database that is there now.
    pub(crate) fn is_refusing(&self) -> bool {
        self.refused.load(Ordering::Relaxed) == self.connections.generation() + 1
    }

    /// Writes something, within a limit, and remembers whether that was refused.
    fn writing<'a, T: Send + 'a>(
        &'a self,
        patience: Duration,
        work: impl Future<Output = Result<T, Failure>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        let done = within::<D, _>(patience, work);
        Box::pin(async move {
            let done = done.await;
            match &done {
                Ok(_) => self.refused.store(0, Ordering::Relaxed),
                Err(StoreError::Refused { .. }) => {
                    self.refused.store(self.connections.generation() + 1, Ordering::Relaxed);
                }
                Err(_) => {}
            }
            done
        })
    }

    async fn lease(&self) -> Result<Lease<'_, D>, Failure> {
        self.connections.lease(&self.dialect).await.map_err(Failure::while_connecting::<D>)
    }
}

impl<D: Dialect> std::fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}

/// Whether something may be called this.
fn is_name<D: Dialect>(name: &str) -> bool {
    D::HOLDS_NUL || !name.contains('\0')
}

/// Gives work a limit, and tells its failure as the rest of the gateway knows it.
fn within<'a, D: Dialect, T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Failure>> + Send + 'a,
) -> StoreFuture<'a, T> {
    Box::pin(async move {
        let done = timeout(patience, work).await.map_err(Failure::from).flatten();
        done.map_err(Failure::into_store_error::<D>)
    })
}

/// Executes a statement and makes something of each row of its answer.
async fn all<D: Dialect, T: Send>(
    connection: &mut Driven<D>,
    sql: &'static str,
    values: &[Value<'_>],
    read: impl Fn(&<D::Driver as Database>::Row) -> T + Send + Sync,
) -> sqlx::Result<Vec<T>> {
    let mut found = Vec::new();
    D::Driver::each(connection, sql, values, &mut |row| found.push(read(row))).await?;
    Ok(found)
}

/// Executes a statement and returns how many rows its answer has.
async fn count<D: Dialect>(connection: &mut Driven<D>, sql: &'static str, values: &[Value<'_>]) -> sqlx::Result<usize> {
    let mut count = 0;
    D::Driver::each(connection, sql, values, &mut |_| count += 1).await?;
    Ok(count)
}

/// The state that a transaction sees.
async fn current_position<D: Dialect>(connection: &mut Driven<D>) -> Result<Position, Failure> {
    let read = |row: &<D::Driver as Database>::Row| {
        let text = |column| row.text(column).map(|text| Arc::from(text.unwrap_or_default()));
        Ok::<_, sqlx::Error>((row.integer(0)?, text(1)?, text(2)?))
    };
    let rows = all::<D, _>(connection, statements::POSITION, &[], read).await?;
    let [row] = rows.try_into().map_err(|_| Failure::damaged("config_version has not exactly one row"))?;
    let (version, store, token) = row?;
    let version = version.map(Version).ok_or_else(|| Failure::damaged("config_version has no number"))?;
    Ok(Position { version, store, token })
}
