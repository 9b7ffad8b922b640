//! A store in an SQL database, whichever speaks one of the [`Dialect`]s.

mod failure;
mod feed;
mod keys;
mod ledger;
mod row;
mod schema;
mod statements;

use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gateway_keystore::{Pending, Version};
use sqlx::{Connection, Database};
use tokio::time::timeout;

pub use failure::Failure;
pub use schema::Step;

use crate::connections::{Connections, Lease};
use crate::driver::{Cells, Driver, Value};

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
    const STEPS: &'static [Step];

    /// Where the database is, and how to get in.
    fn options(&self) -> &<Driven<Self> as Connection>::Options;

    /// Makes a new connection ready for use.
    fn prepare<'c>(&'c self, connection: &'c mut Driven<Self>) -> BoxFuture<'c, Result<(), Failure>>;

    /// Returns when something may have changed, as [`gateway_keystore::KeyFeed::changed`] has it.
    fn changed(&self) -> Pending<'_, ()>;

    /// Whether an error code says that what the database holds makes no sense, as opposed to not being within reach.
    fn is_damage(code: &str) -> bool;

    /// Whether an error code says that a statement can never succeed, as opposed to not at the moment.
    fn is_refusal(code: &str) -> bool;
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
    /// Adds amounts to those that were spent and returns the sums, as `account, period, window_start, amount`. `$1` is a
    /// JSON array of arrays of these four, each window once.
    pub spend: &'static str,
    /// Notes when keys were used, but never an earlier time than is noted. `$1` is a JSON array of `[id, time]`.
    pub touch: &'static str,
}

/// A store in an SQL database.
pub struct SqlStore<D: Dialect> {
    dialect: D,
    connections: Connections<D>,
}

impl<D: Dialect> SqlStore<D> {
    /// A store that connects when it is first asked for something.
    pub fn new(dialect: D) -> Self {
        Self { dialect, connections: Connections::new() }
    }

    /// What is particular about it.
    pub fn dialect(&self) -> &D {
        &self.dialect
    }

    async fn lease(&self) -> Result<Lease<'_, D>, Failure> {
        self.connections.lease(&self.dialect).await
    }
}

impl<D: Dialect> std::fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}

/// Gives work a limit, and tells its failure as the rest of the gateway knows it.
fn within<'a, D: Dialect, T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Failure>> + Send + 'a,
) -> Pending<'a, T> {
    Box::pin(async move {
        let done = timeout(patience, work).await.map_err(Failure::from).flatten();
        done.map_err(Failure::told::<D>)
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

/// The version that a transaction sees.
async fn current_version<D: Dialect>(connection: &mut Driven<D>) -> Result<Version, Failure> {
    let rows = all::<D, _>(connection, statements::VERSION, &[], |row| row.integer(0)).await?;
    let [version] = rows.try_into().map_err(|_| Failure::damaged("config_version has not exactly one row"))?;
    version?.map(Version).ok_or_else(|| Failure::damaged("config_version has no number"))
}
