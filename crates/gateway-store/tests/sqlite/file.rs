//! A store in a file of a test's own.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use gateway_secret::{KeyDigest, Secret};
use gateway_store::{Backend, Schema, SqliteStore, Vault};
use gateway_testing::store_conformance::Subject;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

/// A store, and the folder that it lies in.
pub(crate) struct File {
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<SqliteStore>,
}

impl File {
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path().join("gateway.db").to_str().unwrap()).unwrap());
        Self { folder, store }
    }

    pub(crate) async fn with_tables() -> Self {
        let file = Self::empty();
        file.store.migrate_up().await.unwrap();
        file
    }

    /// Another store over the same file, as another process would have it.
    pub(crate) fn again(&self) -> SqliteStore {
        SqliteStore::open(self.path().to_str().unwrap()).unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("gateway.db")
    }

    /// The one text that a query returns.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let mut connection = SqliteConnection::connect(self.path().to_str().unwrap()).await.unwrap();
        let text = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        text
    }
}

/// A vault of one key, 32 times this byte.
pub(crate) fn vault(byte: &str) -> Arc<Vault> {
    Arc::new(Vault::new(&Secret::from(byte.repeat(32))).unwrap())
}

/// The digest of a key, as it is written in hexadecimal.
pub(crate) fn hex(key: &str) -> String {
    KeyDigest::of(key.as_bytes()).as_bytes().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

impl Subject for File {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.store) as Arc<dyn Backend>
    }

    fn sealing(&self) -> Arc<dyn Backend> {
        Arc::new(self.again().sealed_with(Some(vault("11"))))
    }

    async fn execute(&self, sql: &str) {
        let mut connection = SqliteConnection::connect(self.path().to_str().unwrap()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    fn bytes(&self, hex: &str) -> String {
        format!("x'{hex}'")
    }
}
