//! What PostgreSQL alone can do to a table is seen as well.

use gateway_keystore::{KeyFeed, Ledger};
use jiff::Timestamp;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::database::{Database, server};

const ROWS: &str = "INSERT INTO master_keys (id, name, digest) \
                    SELECT 'key ' || n, 'many', sha256(n::TEXT::BYTEA) FROM generate_series(1, 2000) AS n";

#[tokio::test]
async fn a_transaction_is_one_version_however_much_it_changes() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let start = database.store.changes(None).await.unwrap().position;
    server.execute(&database.url, ROWS);
    let made = database.store.changes(Some(&start)).await.unwrap();
    assert_eq!((made.position.version.0, made.keys.len(), made.is_everything), (start.version.0 + 1, 2_000, false));
    server.execute(&database.url, "UPDATE master_keys SET is_enabled = FALSE");
    let changed = database.store.changes(Some(&made.position)).await.unwrap();
    assert_eq!((changed.position.version.0, changed.keys.len()), (start.version.0 + 2, 2_000));
}

#[tokio::test]
async fn what_is_rolled_back_to_a_savepoint_has_no_version() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    let insert = |id: &str| format!("INSERT INTO master_keys (id, name, digest) VALUES ('{id}', '', sha256('{id}'))");
    let start = database.store.changes(None).await.unwrap().position;
    let (undone, kept) = (insert("undone"), insert("kept"));
    let sql = format!("BEGIN; SAVEPOINT here; {undone}; ROLLBACK TO here; {kept}; COMMIT");
    server.execute(&database.url, &sql);
    let changes = database.store.changes(Some(&start)).await.unwrap();
    assert_eq!((changes.position.version.0, changes.keys.len(), changes.removed.len()), (1, 1, 0));
    assert_eq!(&*changes.keys[0].id, "kept");
}

#[tokio::test]
async fn a_table_that_is_emptied_is_read_anew() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    server.execute(&database.url, ROWS);
    let before = database.store.changes(None).await.unwrap();
    server.execute(&database.url, "TRUNCATE master_keys");
    let after = database.store.changes(Some(&before.position)).await.unwrap();
    assert!(after.is_everything && after.keys.is_empty() && after.position.version > before.position.version);
    server.execute(&database.url, ROWS);
    assert_eq!(database.store.changes(Some(&after.position)).await.unwrap().keys.len(), 2_000);
}

#[tokio::test]
async fn settings_that_are_emptied_are_told() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    for table in ["providers", "models"] {
        let rows = "SELECT 'entry ' || n, '{}' FROM generate_series(1, 2000) AS n";
        server.execute(&database.url, &format!("INSERT INTO {table} (name, settings) {rows}"));
        let before = database.store.changes(None).await.unwrap();
        assert_eq!(before.settings.unwrap().records.len(), 2_000);
        server.execute(&database.url, &format!("TRUNCATE {table}"));
        let after = database.store.changes(Some(&before.position)).await.unwrap();
        assert_eq!(after.position.version.0, before.position.version.0 + 1);
        assert!(after.settings.is_some_and(|settings| settings.records.is_empty()), "{table}");
    }
}

#[tokio::test]
async fn noting_use_waits_for_nobody() {
    let Some(server) = server() else { return };
    let database = Database::with_tables(server).await;
    server.execute(&database.url, ROWS);
    let mut somebody = PgConnection::connect(&database.url).await.unwrap();
    let mut transaction = somebody.begin().await.unwrap();
    sqlx::query("UPDATE master_keys SET name = 'held' WHERE id = 'key 1'").execute(&mut *transaction).await.unwrap();
    let at = Timestamp::constant(1_700_000_000, 0);
    database.store.touch(&[("key 1".into(), at), ("key 2".into(), at)]).await.unwrap();
    transaction.commit().await.unwrap();
    let keys = database.store.changes(None).await.unwrap().keys;
    let used: Vec<_> = keys.iter().filter(|key| key.last_used_at.is_some()).map(|key| &*key.id).collect();
    assert_eq!(used, ["key 2"]);
}
