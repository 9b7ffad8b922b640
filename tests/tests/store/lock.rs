//! An SQLite file that somebody else is writing to.

use gateway_tests::database::Database;
use gateway_tests::site::{Site, bad, good, verdict};
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor};

use crate::load::Load;

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
    assert_eq!((verdict(&answer), answer.header("retry-after")), (bad(503, "store_unavailable"), "1"));
    assert_eq!(node.admin().list().await.len(), 1);
    assert_eq!(node.verdict("sk-gw-nobody-knows").await, bad(401, "invalid_api_key"));
    assert_eq!(node.readiness().await.0, 200);

    holder.execute("COMMIT").await.unwrap();
    node.admin().change("team", json!({ "metadata": { "a": 1 } })).await;
    assert_eq!(node.verdict(&made.key).await, good());
    load.assert_served().await;
}
