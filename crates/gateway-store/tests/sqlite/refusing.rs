//! A file that can be reached and not be written.

use std::error::Error;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gateway_keystore::{Action, KeyChange, KeyFeed, KeyRecord, KeyRepository, StoreError, StoreFuture};
use gateway_store::{Dialect, Driven, Failure, Fault, Migration, SqlStore, SqliteFile, SqliteStore, Statements};
use gateway_testing::store_conformance::{Subject, note, plain_key, write};
use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};

use crate::file::File;

/// SQLite with something in its way, which a pragma puts there.
struct Hindered {
    store: Arc<SqliteStore>,
    pragma: &'static str,
}

impl Dialect for Hindered {
    type Driver = sqlx::Sqlite;

    const HOLDS_NUL: bool = true;
    const STATEMENTS: Statements = SqliteFile::STATEMENTS;
    const MIGRATIONS: &'static [Migration] = SqliteFile::MIGRATIONS;

    fn options(&self) -> &sqlx::sqlite::SqliteConnectOptions {
        self.store.dialect().options()
    }

    fn place(&self) -> String {
        self.store.dialect().place()
    }

    fn prepare<'c>(&'c self, connection: &'c mut Driven<Self>) -> BoxFuture<'c, Result<(), Failure>> {
        Box::pin(async {
            self.store.dialect().prepare(connection).await?;
            connection.execute(self.pragma).await?;
            Ok(())
        })
    }

    fn changed(&self) -> StoreFuture<'_, ()> {
        self.store.changed()
    }

    fn fault(error: &dyn DatabaseError) -> Fault {
        SqliteFile::fault(error)
    }
}

/// A key of more than a page.
fn large_key(id: &str) -> KeyRecord {
    KeyRecord { metadata: format!(r#"{{"a":"{}"}}"#, "x".repeat(16_000)), ..plain_key(id) }
}

/// Panics unless a store refuses a write for this reason, and goes on answering.
async fn assert_refuses(store: &impl KeyRepository, reason: &str) {
    let change = KeyChange::Insert(large_key("refused"));
    let answer = store.write(&change, &note(Action::CreateKey, "refused")).await;
    let Err(error @ StoreError::Refused { .. }) = answer else { panic!("{reason}: {answer:?}") };
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains(reason), "{cause}");
    assert!(error.with_cause().ends_with(&cause), "{}", error.with_cause());
    assert!(store.key("refused").await.unwrap().is_none() && store.key("known").await.unwrap().is_some());
}

#[tokio::test]
async fn it_is_said_why_nothing_was_written() {
    for (pragma, reason) in [
        // As many as there are.
        ("PRAGMA max_page_count = 1", "database or disk is full"),
        ("PRAGMA query_only = ON", "readonly"),
        ("PRAGMA busy_timeout = 0", "locked"),
    ] {
        let file = File::with_tables().await;
        write(&*file.backend(), KeyChange::Insert(plain_key("known"))).await;
        let version = file.store.changes(None).await.unwrap().position.version;
        let mut holder = SqliteConnection::connect(file.path().to_str().unwrap()).await.unwrap();
        if reason == "locked" {
            holder.execute("BEGIN IMMEDIATE").await.unwrap();
        }
        let hindered = SqlStore::new(Hindered { store: Arc::clone(&file.store), pragma });
        assert_refuses(&hindered, reason).await;
        assert_eq!(hindered.changes(None).await.unwrap().position.version, version, "{reason}");
        holder.close().await.unwrap();
        write(&*file.backend(), KeyChange::Insert(large_key("later"))).await;
    }
}

#[tokio::test]
async fn what_a_trigger_refuses_is_not_taken_for_a_key_that_is_there() {
    let file = File::with_tables().await;
    write(&*file.backend(), KeyChange::Insert(plain_key("known"))).await;
    file.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON audit_log BEGIN \
         SELECT RAISE(ABORT, 'UNIQUE constraint failed in master_keys and key_digests'); END",
    )
    .await;
    assert_refuses(&*file.store, "UNIQUE constraint failed in master_keys").await;
}
