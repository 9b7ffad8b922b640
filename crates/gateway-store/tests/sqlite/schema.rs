//! The tables change from release to release, and nothing is lost when that goes wrong.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gateway_keystore::{KeyFeed, Pending, StoreError};
use gateway_store::{Dialect, Driven, Failure, Schema, SqlStore, SqliteFile, SqliteStore, Statements, Step};
use gateway_testing::store_conformance::{Subject, plain_key, write};
use tokio::task::JoinSet;

use crate::file::File;

/// A release with other steps than this one. The steps are its own, everything else is SQLite's.
struct Release<const STEPS: usize>(Arc<SqliteStore>);

const TODAY: &[Step] = SqliteFile::STEPS;
const NEXT: Step = Step { version: 3, name: "next", up: "CREATE TABLE next (id INTEGER)", down: "DROP TABLE next" };
const BROKEN: Step = Step {
    version: 3,
    name: "broken",
    up: "CREATE TABLE half (id INTEGER); DELETE FROM master_keys; CREATE TABLE half (id INTEGER)",
    down: "DROP TABLE half; DROP TABLE no_such_table",
};
const CHANGED: Step = Step { version: 1, name: "keys", up: "CREATE TABLE other (id INTEGER)", down: "" };

const fn same(step: &'static Step) -> Step {
    Step { version: step.version, name: step.name, up: step.up, down: step.down }
}

/// What the releases know.
const RELEASES: [&[Step]; 4] = [
    &[same(&TODAY[0]), same(&TODAY[1]), NEXT],
    &[same(&TODAY[0]), same(&TODAY[1]), BROKEN],
    &[CHANGED, same(&TODAY[1])],
    &[same(&TODAY[0])],
];
const LATER: usize = 0;
const FAULTY: usize = 1;
const FOREIGN: usize = 2;
const EARLIER: usize = 3;

impl<const STEPS: usize> Dialect for Release<STEPS> {
    type Driver = sqlx::Sqlite;

    const STATEMENTS: Statements = SqliteFile::STATEMENTS;
    const STEPS: &'static [Step] = RELEASES[STEPS];

    fn options(&self) -> &sqlx::sqlite::SqliteConnectOptions {
        self.0.dialect().options()
    }

    fn prepare<'c>(&'c self, connection: &'c mut Driven<Self>) -> BoxFuture<'c, Result<(), Failure>> {
        self.0.dialect().prepare(connection)
    }

    fn changed(&self) -> Pending<'_, ()> {
        self.0.changed()
    }

    fn is_damage(code: &str) -> bool {
        SqliteFile::is_damage(code)
    }

    fn is_refusal(code: &str) -> bool {
        SqliteFile::is_refusal(code)
    }
}

fn release<const STEPS: usize>(file: &File) -> SqlStore<Release<STEPS>> {
    SqlStore::new(Release::<STEPS>(Arc::clone(&file.store)))
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
    assert_eq!(release::<EARLIER>(&file).migrate_up().await.unwrap(), 1);
    write(&*file.backend(), gateway_keystore::KeyChange::Insert(plain_key("key"))).await;
    assert_eq!(file.store.migrate_up().await.unwrap(), 2);
    assert_eq!(release::<LATER>(&file).migrate_up().await.unwrap(), 3);
    assert_eq!(file.store.changes(None).await.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn a_step_that_fails_leaves_everything_as_it_was() {
    let file = File::with_tables().await;
    write(&*file.backend(), gateway_keystore::KeyChange::Insert(plain_key("key"))).await;
    let before = file.store.changes(None).await.unwrap();
    let faulty = release::<FAULTY>(&file);
    let answer = faulty.migrate_up().await;
    assert!(matches!(answer, Err(StoreError::Damaged { .. })), "{answer:?}");
    assert_eq!(faulty.version().await.unwrap(), 2);
    let after = file.store.changes(None).await.unwrap();
    assert_eq!((after.version, after.keys.len()), (before.version, 1));
    assert_eq!(file.store.migrate_up().await.unwrap(), 2, "no lock is left behind");

    // Back likewise: the step was made by hand, and cannot be taken back.
    assert_eq!(release::<LATER>(&file).migrate_up().await.unwrap(), 3);
    file.execute("CREATE TABLE half (id INTEGER)").await;
    assert!(faulty.migrate_down().await.is_err());
    assert_eq!(faulty.version().await.unwrap(), 3);
    file.execute("DROP TABLE half").await;
}

#[tokio::test]
async fn a_store_of_a_later_release_is_left_alone() {
    let file = File::empty();
    release::<LATER>(&file).migrate_up().await.unwrap();
    for answer in [file.store.migrate_up().await, file.store.migrate_down().await] {
        assert!(matches!(answer, Err(StoreError::TooNew { found: 3, known: 2 })), "{answer:?}");
    }
    assert_eq!(file.store.version().await.unwrap(), 3, "which can be told all the same");
}

#[tokio::test]
async fn tables_that_are_not_this_programs_are_left_alone() {
    let file = File::with_tables().await;
    let answer = release::<FOREIGN>(&file).migrate_up().await;
    assert!(matches!(&answer, Err(StoreError::Damaged { problem }) if problem.contains("step 1")), "{answer:?}");
}
