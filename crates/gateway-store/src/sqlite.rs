//! SQLite: one file, for one node or a few on one machine.
//!
//! The file is in WAL mode, so that reading never waits for writing, and every commit is flushed (`synchronous = FULL`),
//! so that a key that was handed out is still there after the power has gone. Other processes may write too, the command
//! line for one; SQLite tells nobody, so the store is asked for its version several times a second, which reads one page.
//!
//! Somebody may also delete the file or put a copy in its place while it is open, and SQLite would go on with what nobody
//! can find any more. The file is therefore looked at before each use (see [`Identity`]). One that is gone is not made
//! anew: that is done once, by a process that has not seen it yet, and may be forbidden (see [`SqliteStore::open_existing`]).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use gateway_keystore::StoreFuture;
use parking_lot::Mutex;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Sqlite};
use tokio::time::{Instant, sleep};

use crate::connections::Identity;
use crate::driver::Driver;
use crate::sql_store::{Dialect, Failure, Fault, Migration, SqlStore, Statements};
use crate::{OpenError, add_usage, migrations};

/// How long a writer waits for another. Writes take milliseconds; a store of a hundred thousand keys is copied in one second.
const BUSY: Duration = Duration::from_secs(5);
/// How often to look whether another connection has written: often enough that a key that was revoked from the command
/// line is refused within half a second.
const LOOK: Duration = Duration::from_millis(250);
/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>).
const SQLITE_ERROR: i32 = 1;
const SQLITE_BUSY: i32 = 5;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_NOTADB: i32 = 26;

/// A store in an SQLite file.
pub type SqliteStore = SqlStore<SqliteFile>;

/// An SQLite file.
#[derive(Debug)]
pub struct SqliteFile {
    options: SqliteConnectOptions,
    is_made_if_missing: bool,
    seen: Mutex<Seen>,
}

/// What was there when it was last looked at.
#[derive(Debug, Default)]
struct Seen {
    /// The file; none before it was first opened.
    file: Option<Identity>,
    /// The log of what was written and is not in the file yet.
    log: Option<Identity>,
}

impl SqliteStore {
    /// A store in the file of this path. The file is made if it is not there, readable and writable for this user only; the
    /// folder has to be there. It is read when something is asked.
    pub fn open(path: &str) -> Result<Self, OpenError> {
        Self::at(path, true)
    }

    /// The same, but a file that is not there is not made: to a gateway that follows it, an empty store in its place would
    /// say that every key was deleted.
    pub fn open_existing(path: &str) -> Result<Self, OpenError> {
        Self::at(path, false)
    }

    fn at(path: &str, is_made_if_missing: bool) -> Result<Self, OpenError> {
        // Absolute, because SQLite takes some others for something else: `:memory:`, or `file:` and what follows.
        let path = std::path::absolute(path).map_err(|error| OpenError { problem: format!("{path:?}: {error}") })?;
        let options = SqliteConnectOptions::new().filename(&path);
        let options = options
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        Ok(Self::new(SqliteFile { options, is_made_if_missing, seen: Mutex::default() }))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.dialect().path()
    }
}

/// Whether the file can be written. Makes it if it is not there and may be, before SQLite does so with the permissions of every
/// other file; the files that it puts beside it have the same permissions.
fn open(path: &Path, may_make: bool) -> io::Result<()> {
    OpenOptions::new().write(true).create(may_make).truncate(false).mode(0o600).open(path).map(drop)
}

impl Dialect for SqliteFile {
    type Driver = Sqlite;

    const STATEMENTS: Statements = Statements {
        begin_read: "BEGIN",
        // From its beginning the only writer: one that begins by reading may find that it can no longer write.
        begin_write: "BEGIN IMMEDIATE",
        lock_schema: &[],
        find_migrations: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'",
        every_key_packed: Some(
            "SELECT group_concat(json_array(id, name, hex(digest), preview, is_weak, nullif(hex(previous_digest), ''), \
             previous_valid_until, allowed_models, rate_limit, budget, expires_at, is_enabled, metadata, updated_at, \
             created_at, last_used_at, revision), char(10)) FROM master_keys GROUP BY rowid / 100",
        ),
        spend: "INSERT INTO budget_spent (account, period, window_start, amount) \
                SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each($1) WHERE TRUE \
                ON CONFLICT (account, period, window_start) DO UPDATE SET amount = CASE \
                WHEN amount > 9223372036854775807 - excluded.amount THEN 9223372036854775807 \
                ELSE amount + excluded.amount END \
                RETURNING account, period, window_start, amount",
        add_usage: add_usage!(
            "SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, \
             value ->> 8, value ->> 9, value ->> 10 FROM json_each($1) WHERE TRUE"
        ),
        touch: "UPDATE master_keys SET last_used_at = used.value ->> 1 FROM json_each($1) AS used \
                WHERE master_keys.id = used.value ->> 0 AND coalesce(last_used_at < used.value ->> 1, TRUE)",
    };

    const MIGRATIONS: &'static [Migration] = migrations![1 "keys", 2 "budget_spent", 3 "settings", 4 "usage"];
    const HOLDS_NUL: bool = true;

    fn options(&self) -> &SqliteConnectOptions {
        &self.options
    }

    fn place(&self) -> String {
        self.path().display().to_string()
    }

    fn prepare<'c>(&'c self, connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), Failure>> {
        Box::pin(async move {
            turn_to_wal(connection).await?;
            self.check_again()
        })
    }

    /// Nobody tells, so it is time to look again soon.
    fn changed(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            sleep(LOOK).await;
            Ok(())
        })
    }

    fn identity(&self) -> Result<Identity, Failure> {
        self.look()
    }

    fn fault(error: &dyn DatabaseError) -> Fault {
        if error.is_unique_violation() {
            return Fault::duplicate_in(duplicated_table(error.message()).unwrap_or_default());
        }
        match error.code().as_deref().and_then(primary) {
            Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Fault::Damage,
            Some(SQLITE_CANTOPEN) => Fault::Disconnected,
            Some(SQLITE_ERROR | SQLITE_CONSTRAINT) => Fault::Never,
            _ => Fault::NotNow,
        }
    }
}

/// The table in which a value was to be unique. SQLite says so in its message alone, which is
/// `UNIQUE constraint failed: TABLE.COLUMN`.
fn duplicated_table(message: &str) -> Option<&str> {
    let (_, column) = message.split_once("constraint failed: ")?;
    column.split_once('.').map(|(table, _)| table)
}

impl SqliteFile {
    fn path(&self) -> &Path {
        self.options.get_filename()
    }

    /// Looks which file is there, after making it if it was never seen.
    fn look(&self) -> Result<Identity, Failure> {
        let mut seen = self.seen.lock();
        if seen.file.is_none() {
            open(self.path(), self.is_made_if_missing).map_err(|error| self.lost(&error))?;
        }
        let file = identity(self.path()).map_err(|error| self.lost(&error))?;
        if seen.file == Some(file) {
            seen.log = identity(&self.beside("-wal")).ok();
        } else {
            self.clear_away(seen.log).map_err(|error| self.lost(&error))?;
            (seen.file, seen.log) = (Some(file), None);
        }
        Ok(file)
    }

    /// Fails if the file has been replaced since it was looked at.
    fn check_again(&self) -> Result<(), Failure> {
        if identity(self.path()).ok() == self.seen.lock().file {
            return Ok(());
        }
        Err(Failure::misplaced(format!("{} has just been replaced", self.path().display())))
    }

    /// Removes the log that a file has left behind which is no longer there, and the index of it. SQLite would take them for
    /// those of the file that is there now, and write pages of one into the other.
    fn clear_away(&self, log: Option<Identity>) -> io::Result<()> {
        if log.is_none() || identity(&self.beside("-wal")).ok() != log {
            return Ok(());
        }
        fs::remove_file(self.beside("-wal"))?;
        match fs::remove_file(self.beside("-shm")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn beside(&self, end: &str) -> PathBuf {
        let mut path = self.path().as_os_str().to_owned();
        path.push(end);
        PathBuf::from(path)
    }

    fn lost(&self, error: &io::Error) -> Failure {
        let path = self.path();
        let folder = path.parent().unwrap_or(path);
        let is_folder_there = folder.is_dir();
        let (path, folder) = (path.display(), folder.display());
        Failure::misplaced(match error.kind() {
            io::ErrorKind::NotFound if !is_folder_there => {
                format!("the folder {folder} does not exist; make it, or let store.url name another file")
            }
            io::ErrorKind::NotFound => {
                format!(
                    "{path} is not there; put it back, or, to begin with an empty store, remove the last good state if \
                     there is one, and restart the gateway"
                )
            }
            _ => format!("{path} cannot be opened for writing: {error}; mend that, or let store.url name another file"),
        })
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let found = fs::metadata(path)?;
    Ok(Identity { device: found.dev(), inode: found.ino(), made: found.created().ok() })
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
