//! The tables change from release to release, and nothing is lost when that goes wrong.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gateway_keystore::{KeyFeed, StoreError, StoreFuture};
use gateway_store::{
    Dialect, Driven, Failure, Fault, Identity, Migration, Schema, SqlStore, SqliteFile, SqliteStore, Statements,
};
use gateway_testing::store_conformance::{Subject, plain_key, write};
use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};
use tokio::task::JoinSet;

use crate::file::{File, hex};

/// A release with other migrations than this one. They are its own, everything else is SQLite's.
struct Release<const RELEASE: usize>(Arc<SqliteStore>);

const TODAY: &[Migration] = SqliteFile::MIGRATIONS;
const NEXT: Migration =
    Migration { version: 5, name: "next", up: "CREATE TABLE next (id INTEGER)", down: "DROP TABLE next" };
const BROKEN: Migration = Migration {
    version: 5,
    name: "broken",
    up: "CREATE TABLE half (id INTEGER); DELETE FROM master_keys; CREATE TABLE half (id INTEGER)",
    down: "DROP TABLE half; DROP TABLE no_such_table",
};
const CHANGED: Migration = Migration { version: 1, name: "keys", up: "CREATE TABLE other (id INTEGER)", down: "" };

const fn same(migration: &'static Migration) -> Migration {
    Migration { version: migration.version, name: migration.name, up: migration.up, down: migration.down }
}

/// What the releases know.
const RELEASES: [&[Migration]; 4] = [
    &[same(&TODAY[0]), same(&TODAY[1]), same(&TODAY[2]), same(&TODAY[3]), NEXT],
    &[same(&TODAY[0]), same(&TODAY[1]), same(&TODAY[2]), same(&TODAY[3]), BROKEN],
    &[CHANGED, same(&TODAY[1]), same(&TODAY[2]), same(&TODAY[3])],
    &[same(&TODAY[0]), same(&TODAY[1])],
];
const LATER: usize = 0;
const FAULTY: usize = 1;
const FOREIGN: usize = 2;
const EARLIER: usize = 3;

impl<const RELEASE: usize> Dialect for Release<RELEASE> {
    type Driver = sqlx::Sqlite;

    const HOLDS_NUL: bool = true;
    const STATEMENTS: Statements = SqliteFile::STATEMENTS;
    const MIGRATIONS: &'static [Migration] = RELEASES[RELEASE];

    fn options(&self) -> &sqlx::sqlite::SqliteConnectOptions {
        self.0.dialect().options()
    }

    fn place(&self) -> String {
        self.0.dialect().place()
    }

    fn prepare<'c>(&'c self, connection: &'c mut Driven<Self>) -> BoxFuture<'c, Result<(), Failure>> {
        self.0.dialect().prepare(connection)
    }

    fn changed(&self) -> StoreFuture<'_, ()> {
        self.0.changed()
    }

    fn identity(&self) -> Result<Identity, Failure> {
        self.0.dialect().identity()
    }

    fn fault(error: &dyn DatabaseError) -> Fault {
        SqliteFile::fault(error)
    }
}

fn release<const RELEASE: usize>(file: &File) -> SqlStore<Release<RELEASE>> {
    SqlStore::new(Release::<RELEASE>(Arc::clone(&file.store)))
}

#[tokio::test]
async fn of_many_that_start_at_once_all_find_the_tables() {
    let file = File::empty();
    let mut starting = JoinSet::new();
    for _ in 0..8 {
        let store = file.again();
        starting.spawn(async move {
            store.migrate_up().await.unwrap();
            store.changes(None).await.unwrap().keys.len()
        });
    }
    assert_eq!(starting.join_all().await, [0; 8]);
}

#[tokio::test]
async fn a_new_release_adds_what_is_missing_and_keeps_what_is_there() {
    let file = File::empty();
    assert_eq!(release::<EARLIER>(&file).migrate_up().await.unwrap(), 2);
    let row = |id: &str| format!("INSERT INTO master_keys (id, name, digest) VALUES ('{id}', '', x'{}')", hex(id));
    file.execute(&row("key")).await;
    assert_eq!(file.store.migrate_up().await.unwrap(), 4);
    let found = file.store.changes(None).await.unwrap();
    assert_eq!((found.keys.len(), found.position.version.0), (1, 1));
    assert!(!found.position.store.is_empty() && !found.position.token.is_empty());
    // What was counted goes on to be counted, and what was told to be told.
    file.execute(&row("other")).await;
    let news = file.store.changes(Some(&found.position)).await.unwrap();
    assert_eq!((news.keys.len(), news.position.version.0, news.is_everything), (1, 2, false));
    assert_eq!(release::<LATER>(&file).migrate_up().await.unwrap(), 5);
    assert_eq!(file.store.changes(None).await.unwrap().keys.len(), 2);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_everything_as_it_was() {
    let file = File::with_tables().await;
    write(&*file.backend(), gateway_keystore::KeyChange::Insert(plain_key("key"))).await;
    let before = file.store.changes(None).await.unwrap();
    let faulty = release::<FAULTY>(&file);
    let answer = faulty.migrate_up().await;
    assert!(matches!(answer, Err(StoreError::Damaged { .. })), "{answer:?}");
    assert_eq!(faulty.version().await.unwrap(), 4);
    let after = file.store.changes(None).await.unwrap();
    assert_eq!((after.position, after.keys.len()), (before.position, 1));
    assert_eq!(file.store.migrate_up().await.unwrap(), 4, "no lock is left behind");

    // Back likewise: the migration cannot be undone.
    assert_eq!(release::<LATER>(&file).migrate_up().await.unwrap(), 5);
    file.execute("CREATE TABLE half (id INTEGER)").await;
    assert!(faulty.migrate_down().await.is_err());
    assert_eq!(faulty.version().await.unwrap(), 5);
    file.execute("DROP TABLE half").await;
}

#[tokio::test]
async fn a_store_of_a_later_release_is_left_alone() {
    let file = File::empty();
    release::<LATER>(&file).migrate_up().await.unwrap();
    for answer in [file.store.migrate_up().await, file.store.migrate_down().await] {
        assert!(matches!(answer, Err(StoreError::TooNew { found: 5, known: 4 })), "{answer:?}");
    }
    assert_eq!(file.store.version().await.unwrap(), 5, "which can be told all the same");
}

#[tokio::test]
async fn tables_that_are_not_this_programs_are_left_alone() {
    let file = File::with_tables().await;
    let answer = release::<FOREIGN>(&file).migrate_up().await;
    assert!(matches!(&answer, Err(StoreError::Damaged { problem }) if problem.contains("migration 1")), "{answer:?}");
}

#[tokio::test]
async fn the_version_is_read_while_somebody_else_writes() {
    let (empty, made) = (File::empty(), File::with_tables().await);
    for (file, expected) in [(&empty, 0), (&made, 4)] {
        assert_eq!(file.store.version().await.unwrap(), expected);
        let mut holder = SqliteConnection::connect(file.path().to_str().unwrap()).await.unwrap();
        holder.execute("BEGIN IMMEDIATE").await.unwrap();
        assert_eq!(file.store.version().await.unwrap(), expected, "it waits for nobody who writes");
        holder.close().await.unwrap();
    }
    // To ask an empty store makes no tables in it.
    empty.execute("CREATE TABLE _sqlx_migrations (id INTEGER)").await;
}
