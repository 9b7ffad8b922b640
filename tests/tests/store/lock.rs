//! Stores that can be read and not be written.

use gateway_testing::Answer;
use gateway_tests::database::Database;
use gateway_tests::load::Load;
use gateway_tests::site::{Node, Site, bad, good, verdict};
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};

/// Panics unless it is said that nothing was written, and in the log why.
fn assert_not_written(node: &Node, answer: &Answer, reason: &str) {
    assert_eq!((verdict(answer), answer.header("retry-after")), (bad(503, "store_not_written"), "1"));
    assert!(!answer.text().contains(reason), "{}", answer.text());
    let line = node.process.log_line(|line| line.contains("an administrator's request failed"));
    assert!(line.contains("WARN") && line.contains(reason), "{line}");
}

/// Whoever holds the file for longer than a writer waits keeps administrators from writing, and nobody from anything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_is_in_the_way_of_writers_alone() {
    let database = Database::sqlite();
    let site = Site::new().await.with("DB_URL", &database.url());
    let node = site.start();
    let made = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    let load = Load::start(&node, &[&made.key]);
    let mut holder = SqliteConnection::connect(&database.url()).await.unwrap();
    holder.execute("BEGIN EXCLUSIVE").await.unwrap();

    let answer = node.admin().send("PATCH", "/admin/v1/master-keys/team", r#"{"is_enabled":false}"#).await;
    assert_not_written(&node, &answer, "database is locked");
    assert_eq!(node.readiness().await.1["store"], "read only: it refused the last write");
    assert_eq!(node.admin().list().await.len(), 1);
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(401, "invalid_api_key"));
    assert_eq!(node.readiness().await.0, 200);

    holder.execute("COMMIT").await.unwrap();
    node.admin().change("team", json!({ "metadata": { "a": 1 } })).await;
    assert_eq!(node.verdict(&made.key).await, good());
    load.assert_served().await;
}

/// A database that has been made a copy of another, or has run full, says itself what it does not do.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_read_only_is_in_the_way_of_writers_alone() {
    let Some(database) = Database::postgres() else { return };
    let site = Site::new().await.with("DB_URL", &database.url());
    let node = site.start();
    let made = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    database
        .execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); \
             PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid(); END $$",
        )
        .await;
    let answer = node.admin().send("DELETE", "/admin/v1/master-keys/team", "").await;
    assert_not_written(&node, &answer, "read-only transaction");
    assert_eq!((node.verdict(&made.key).await, node.admin().list().await.len()), (good(), 1));
}
