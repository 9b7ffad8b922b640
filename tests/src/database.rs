//! Where stores are kept, and the way into them that administrators take who know SQL.

use std::sync::LazyLock;

use gateway_testing::{Folder, PostgresServer};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::hexadecimal::digits;

/// An empty database of a test's own.
#[derive(Debug)]
pub enum Database {
    /// A file, in a folder of its own.
    Sqlite(Folder),
    /// The URL of a database on the server that all tests share.
    Postgres(String),
}

static SERVER: LazyLock<Option<PostgresServer>> = LazyLock::new(PostgresServer::start);

impl Database {
    /// One of each kind that is installed.
    pub fn each() -> Vec<Self> {
        [Some(Self::sqlite()), Self::postgres()].into_iter().flatten().collect()
    }

    /// An SQLite file.
    pub fn sqlite() -> Self {
        Self::Sqlite(Folder::empty())
    }

    /// A PostgreSQL database. None, with a line that says so, where PostgreSQL is not installed.
    pub fn postgres() -> Option<Self> {
        SERVER.as_ref().map(|server| Self::Postgres(server.create_database()))
    }

    /// What to call it in what a test says.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// What `DB_URL` has to be.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", file(folder)),
            Self::Postgres(url) => url.clone(),
        }
    }

    /// Executes statements over a connection of their own. Panics if they fail.
    pub async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(folder) => {
                let mut connection = SqliteConnection::connect(&file(folder)).await.expect("a database");
                let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
                done.unwrap_or_else(|error| panic!("{sql}: {error}"));
                connection.close().await.expect("a connection");
            }
            Self::Postgres(url) => SERVER.as_ref().expect("the server of this database").execute(url, sql),
        }
    }

    /// The one text that a query returns. Panics if it fails, or returns none.
    pub async fn text(&self, sql: &str) -> String {
        match self {
            Self::Sqlite(folder) => {
                let mut connection = SqliteConnection::connect(&file(folder)).await.expect("a database");
                let found = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await;
                connection.close().await.expect("a connection");
                found.unwrap_or_else(|error| panic!("{sql}: {error}"))
            }
            Self::Postgres(url) => {
                let rows = SERVER.as_ref().expect("the server of this database").query(url, sql);
                rows.strip_suffix('\n').unwrap_or_else(|| panic!("{sql}: nothing")).to_owned()
            }
        }
    }

    /// Bytes, as its SQL writes them.
    pub fn bytes(&self, bytes: &[u8]) -> String {
        let digits = digits(bytes);
        match self {
            Self::Sqlite(_) => format!("x'{digits}'"),
            Self::Postgres(_) => format!("'\\x{digits}'::BYTEA"),
        }
    }
}

fn file(folder: &Folder) -> String {
    folder.path().join("gateway.db").display().to_string()
}
