//! Tables are made under a lock and in a transaction.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use gateway_keystore::{KeyFeed, StoreError, StoreFuture};
use gateway_store::{Dialect, Driven, Failure, Fault, Migration, Schema, SqlStore, Statements};
use gateway_store_postgres::{PostgreSql, PostgresStore};
use gateway_testing::store_conformance::{Subject, plain_key, write};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use tokio::task::JoinSet;

use crate::database::{Database, server, store};

/// A release whose last migration fails half-way.
struct Faulty(Arc<PostgresStore>);

const FIRST: &Migration = &PostgreSql::MIGRATIONS[0];
const SECOND: &Migration = &PostgreSql::MIGRATIONS[1];
const THIRD: &Migration = &PostgreSql::MIGRATIONS[2];
const FOURTH: &Migration = &PostgreSql::MIGRATIONS[3];

impl Dialect for Faulty {
    type Driver = sqlx::Postgres;

    const STATEMENTS: Statements = PostgreSql::STATEMENTS;
    const MIGRATIONS: &'static [Migration] = &[
        Migration { version: FIRST.version, name: FIRST.name, up: FIRST.up, down: FIRST.down },
        Migration { version: SECOND.version, name: SECOND.name, up: SECOND.up, down: SECOND.down },
        Migration { version: THIRD.version, name: THIRD.name, up: THIRD.up, down: THIRD.down },
        Migration { version: FOURTH.version, name: FOURTH.name, up: FOURTH.up, down: FOURTH.down },
        Migration {
            version: 5,
            name: "faulty",
            up: "CREATE TABLE half (id INTEGER); DELETE FROM master_keys; CREATE TABLE half (id INTEGER)",
            down: "",
        },
    ];
    const HOLDS_NUL: bool = false;

    fn options(&self) -> &PgConnectOptions {
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

    fn fault(error: &dyn DatabaseError) -> Fault {
        PostgreSql::fault(error)
    }
}

#[tokio::test]
async fn of_many_nodes_that_start_at_once_all_find_the_tables() {
    let Some(server) = server() else { return };
    let database = Database::empty(server);
    let mut starting = JoinSet::new();
    for _ in 0..8 {
        let store = store(&database.url);
        starting.spawn(async move {
            store.migrate_up().await.unwrap();
            store.changes(None).await.unwrap().keys.len()
        });
    }
    assert_eq!(starting.join_all().await, [0; 8]);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_everything_as_it_was() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    write(&*database.backend(), gateway_keystore::KeyChange::Insert(plain_key("key"))).await;
    let before = database.store.changes(None).await.unwrap();
    let faulty = SqlStore::new(Faulty(Arc::clone(&database.store)));
    let answer = faulty.migrate_up().await;
    assert!(matches!(answer, Err(StoreError::Damaged { .. })), "{answer:?}");
    assert_eq!(faulty.version().await.unwrap(), 4);
    let after = database.store.changes(None).await.unwrap();
    assert_eq!((after.position, after.keys.len()), (before.position, 1));
    assert_eq!(database.store.migrate_up().await.unwrap(), 4, "no lock is left behind");
}

#[tokio::test]
async fn a_store_of_a_later_release_is_left_alone() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let later = "INSERT INTO _sqlx_migrations SELECT 7, description, installed_on, success, checksum, 0 \
                 FROM _sqlx_migrations LIMIT 1";
    server.execute(&database.url, later);
    for answer in [database.store.migrate_up().await, database.store.migrate_down().await] {
        assert!(matches!(answer, Err(StoreError::TooNew { found: 7, known: 4 })), "{answer:?}");
    }
}

#[tokio::test]
async fn tables_that_are_there_can_be_used_without_the_right_to_change_them() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let role = database.url.rsplit_once('/').unwrap().1.replace("test", "user");
    let grant = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'own'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    );
    server.execute(&database.url, &grant);
    let user = store(&database.url.replace("postgres:for-tests-only", &format!("{role}:own")));
    assert_eq!(user.migrate_up().await.unwrap(), 4);
    write(&user, gateway_keystore::KeyChange::Insert(plain_key("key"))).await;
    assert_eq!(user.changes(None).await.unwrap().keys.len(), 1);

    server.execute(&database.url, "DELETE FROM _sqlx_migrations WHERE version = 4");
    let refused = user.migrate_up().await;
    assert!(matches!(&refused, Err(StoreError::Damaged { problem }) if problem.contains("denied")), "{refused:?}");
}

#[tokio::test]
async fn the_version_is_read_without_any_right_but_to_read() {
    let Some(server) = server() else { return };
    let database = Database::empty(server);
    let role = database.url.rsplit_once('/').unwrap().1.replace("test", "reader");
    server.execute(
        &database.url,
        &format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'own'; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
             ALTER ROLE {role} SET default_transaction_read_only = on"
        ),
    );
    let reader = store(&database.url.replace("postgres:for-tests-only", &format!("{role}:own")));
    assert_eq!(reader.version().await.unwrap(), 0, "an empty store");
    database.store.migrate_up().await.unwrap();
    let denied = reader.version().await;
    assert!(matches!(&denied, Err(StoreError::Refused { .. })), "not 0: {denied:?}");
    server.execute(&database.url, &format!("GRANT SELECT ON _sqlx_migrations TO {role}"));
    assert_eq!(reader.version().await.unwrap(), 4);
    // Whoever migrates holds this lock meanwhile.
    let holder = store(&database.url);
    let mut locked = PgConnection::connect_with(holder.dialect().options()).await.unwrap();
    locked.execute("SELECT pg_advisory_lock(29099075147620729)").await.unwrap();
    assert_eq!(reader.version().await.unwrap(), 4);
}

async fn connection(database: &Database) -> PgConnection {
    PgConnection::connect_with(database.store.dialect().options()).await.unwrap()
}

/// Whoever waits for a table, to change it, keeps all other readers of it waiting.
#[tokio::test]
async fn a_migration_does_not_wait_long_for_who_reads() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    assert_eq!(database.store.migrate_down().await.unwrap(), 3);
    assert_eq!(database.store.migrate_down().await.unwrap(), 2);
    let mut reader = connection(&database).await;
    reader.execute("BEGIN; SELECT * FROM config_version").await.unwrap();
    let answer = database.store.migrate_up().await;
    assert!(
        matches!(&answer, Err(StoreError::Refused { source }) if source.to_string().contains("lock")),
        "{answer:?}"
    );
    assert_eq!(database.store.version().await.unwrap(), 2, "nothing of it is left");
    reader.execute("SELECT * FROM config_version; COMMIT").await.unwrap();
    assert_eq!(database.store.migrate_up().await.unwrap(), 4);
    assert_eq!(database.store.migrate_down().await.unwrap(), 3);
    reader.execute("BEGIN; SELECT * FROM config_version").await.unwrap();
    let answer = database.store.migrate_down().await;
    assert!(matches!(&answer, Err(StoreError::Refused { .. })), "{answer:?}");
    reader.execute("COMMIT").await.unwrap();
    assert_eq!(database.store.migrate_down().await.unwrap(), 2);
}

/// Those who write lock `config_version` first. Were a migration to begin elsewhere, one of both would be a deadlock's victim.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_locks_in_the_order_of_who_writes() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    assert_eq!(database.store.migrate_down().await.unwrap(), 3, "the last one is of a table of its own");
    let mut writer = connection(&database).await;
    writer.execute("BEGIN; UPDATE config_version SET version = version").await.unwrap();
    let store = Arc::clone(&database.store);
    let migration = tokio::spawn(async move { store.migrate_down().await });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'config_version'::regclass";
    while server.query(&database.url, waits).trim() != "1" {
        tokio::task::yield_now().await;
        assert!(!migration.is_finished(), "it waits for the writer");
    }
    let insert = "INSERT INTO providers (name, settings) VALUES ('p', '{}'); \
                  INSERT INTO models (name, settings) VALUES ('m', '{}'); COMMIT";
    writer.execute(insert).await.unwrap();
    assert_eq!(migration.await.unwrap().unwrap(), 2);
}
