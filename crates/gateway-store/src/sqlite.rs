//! SQLite: one file, for one node or a few on one machine.
//!
//! The file is in WAL mode, so that reading never waits for writing, and every commit is flushed (`synchronous = FULL`),
//! so that a key that was handed out is still there after the power has gone. Other processes may write too, the command
//! line for one; SQLite tells nobody, so one connection asks for `data_version` several times a second, which reads a
//! number in shared memory.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use gateway_keystore::Pending;
use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Sqlite};
use tokio::time::{Instant, sleep};

use crate::OpenError;
use crate::connections::connect;
use crate::driver::{Cells, Driver};
use crate::sql_store::{Dialect, Failure, SqlStore, Statements, Step};

/// How long a writer waits for another. Writes take milliseconds; a store of a hundred thousand keys is copied in one second.
const BUSY: Duration = Duration::from_secs(5);
/// How often to look whether another connection has written: often enough that a key that was revoked from the command
/// line is refused within half a second.
const LOOK: Duration = Duration::from_millis(250);
/// How many rows may wait to be taken. The rows of a query come from a thread of their own; with sqlx's 50, the two threads
/// of a busy machine spend their time on waiting for each other. So many rows of keys are ten megabytes.
const ROWS: usize = 8192;
/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>).
const SQLITE_ERROR: i32 = 1;
const SQLITE_BUSY: i32 = 5;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_NOTADB: i32 = 26;

/// A store in an SQLite file.
pub type SqliteStore = SqlStore<SqliteFile>;

/// An SQLite file.
#[derive(Debug)]
pub struct SqliteFile {
    options: SqliteConnectOptions,
    /// The connection that looks for others' writes, while nobody uses it.
    lookout: Mutex<Option<Lookout>>,
}

#[derive(Debug)]
struct Lookout {
    connection: SqliteConnection,
    seen: i64,
}

impl SqliteStore {
    /// A store in the file of this path. The file is made if it is not there, readable and writable for this user only; the
    /// folder has to be there. It is read when something is asked.
    pub fn open(path: &str) -> Result<Self, OpenError> {
        // Absolute, because SQLite takes some others for something else: `:memory:`, or `file:` and what follows.
        let path = std::path::absolute(path).map_err(|error| OpenError { problem: format!("{path:?}: {error}") })?;
        create(&path).map_err(|problem| OpenError { problem })?;
        let options = SqliteConnectOptions::new().filename(&path);
        let options = options
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .row_buffer_size(ROWS)
            .disable_statement_logging();
        Ok(Self::new(SqliteFile { options, lookout: Mutex::default() }))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.dialect().options.get_filename()
    }
}

/// Makes the file if it is not there, before SQLite does so with the permissions of every other file. The files that it
/// puts beside it have the same permissions.
fn create(path: &Path) -> Result<(), String> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map(drop).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path);
            format!("the folder {} does not exist; make it, or let the store be elsewhere", folder.display())
        }
        _ => format!("{} cannot be opened for writing: {error}", path.display()),
    })
}

impl Dialect for SqliteFile {
    type Driver = Sqlite;

    const STATEMENTS: Statements = Statements {
        begin_read: "BEGIN",
        // From its beginning the only writer: one that begins by reading may find that it can no longer write.
        begin_write: "BEGIN IMMEDIATE",
        lock_schema: &[],
        spend: "INSERT INTO budget_spent (account, period, window_start, amount) \
                SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE TRUE \
                ON CONFLICT (account, period, window_start) DO UPDATE SET amount = CASE \
                WHEN amount > 9223372036854775807 - excluded.amount THEN 9223372036854775807 \
                ELSE amount + excluded.amount END \
                RETURNING account, period, window_start, amount",
        touch: "UPDATE master_keys SET last_used_at = used.value ->> 1 FROM json_each($1) AS used \
                WHERE master_keys.id = used.value ->> 0 AND coalesce(last_used_at < used.value ->> 1, TRUE)",
    };

    const STEPS: &'static [Step] = &[
        Step {
            version: 1,
            name: "keys",
            up: include_str!("../migrations/1_keys.up.sql"),
            down: include_str!("../migrations/1_keys.down.sql"),
        },
        Step {
            version: 2,
            name: "budget_spent",
            up: include_str!("../migrations/2_budget_spent.up.sql"),
            down: include_str!("../migrations/2_budget_spent.down.sql"),
        },
    ];

    fn options(&self) -> &SqliteConnectOptions {
        &self.options
    }

    fn prepare<'c>(&'c self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), Failure>> {
        Box::pin(turn_to_wal(connection))
    }

    fn changed(&self) -> Pending<'_, ()> {
        Box::pin(async move { self.look().await.map_err(Failure::told::<Self>) })
    }

    fn is_damage(code: &str) -> bool {
        matches!(primary(code), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
    }

    fn is_refusal(code: &str) -> bool {
        matches!(primary(code), Some(SQLITE_ERROR | SQLITE_CONSTRAINT))
    }
}

impl SqliteFile {
    /// Returns once another connection has written, or at once if nobody has looked before. Who stops waiting loses
    /// nothing: the next look begins anew.
    async fn look(&self) -> Result<(), Failure> {
        let kept = self.lookout.lock().take();
        let Some(mut lookout) = kept else {
            let mut connection = connect(self).await?;
            let seen = data_version(&mut connection).await?;
            *self.lookout.lock() = Some(Lookout { connection, seen });
            return Ok(());
        };
        loop {
            sleep(LOOK).await;
            let found = data_version(&mut lookout.connection).await?;
            if found != lookout.seen {
                lookout.seen = found;
                *self.lookout.lock() = Some(lookout);
                return Ok(());
            }
        }
    }
}

/// A number that is another one once another connection has committed (<https://www.sqlite.org/pragma.html#pragma_data_version>).
async fn data_version(connection: &mut SqliteConnection) -> Result<i64, Failure> {
    let mut found = None;
    Sqlite::each(connection, "PRAGMA data_version", &[], &mut |row| found = row.integer(0).ok().flatten()).await?;
    found.ok_or_else(|| Failure::damaged("PRAGMA data_version gives no number"))
}

/// Turns the file to WAL, which it stays in. Of several who do this to a new file at once, all but one are told that it is
/// busy, without the wait that `busy_timeout` asks for.
async fn turn_to_wal(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let end = Instant::now() + BUSY;
    loop {
        match Sqlite::each(connection, "PRAGMA journal_mode = WAL", &[], &mut |_| {}).await {
            Err(sqlx::Error::Database(error)) if is_busy(error.code().as_deref()) && Instant::now() < end => {
                sleep(Duration::from_millis(fastrand::u64(5..25))).await;
            }
            done => return done.map_err(Failure::from),
        }
    }
}

fn is_busy(code: Option<&str>) -> bool {
    code.and_then(primary) == Some(SQLITE_BUSY)
}

/// The primary part of an extended result code.
fn primary(code: &str) -> Option<i32> {
    code.parse::<i32>().ok().map(|code| code & 0xFF)
}
