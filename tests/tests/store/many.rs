//! A hundred thousand keys.

use gateway_tests::clock::now;
use gateway_tests::database::Database;
use gateway_tests::site::{Site, bad, good};
use serde_json::json;
use std::time::Duration;

const KEYS: usize = 100_000;

/// As a debug build on a busy machine makes it; a release build takes a fraction.
const SLOWEST_START: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_keys_are_served_soon_after_the_start() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let node = site.start();
        let empty = node.process.resident_memory();
        let first = node.admin().create(json!({ "id": "a-first", "name": "x" })).await;
        let last = node.admin().create(json!({ "id": "zz-last", "name": "x" })).await;
        node.process.stop();
        let fields = "name, preview, allowed_models, rate_limit";
        let values = "'team ' || i, 'sk-gw-AbC…xyz', '[\"gpt-*\",\"o3\"]', '{\"requests_per_minute\":600}'";
        database
            .execute(&match database {
                Database::Sqlite(_) => format!(
                    "INSERT INTO master_keys (id, digest, {fields}) WITH RECURSIVE n(i) AS \
                     (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {KEYS}) SELECT 'key_' || i, randomblob(32), {values} FROM n"
                ),
                Database::Postgres(_) => format!(
                    "INSERT INTO master_keys (id, digest, {fields}) \
                     SELECT 'key_' || i, sha256(i::TEXT::BYTEA), {values} FROM generate_series(1, {KEYS}) AS i"
                ),
            })
            .await;
        let began = now();
        let node = site.start();
        let listening = began.elapsed();
        let known = async || (node.verdict(&last.key).await == good()).then_some(());
        gateway_tests::patience::until("the keys", known).await;
        let served = began.elapsed();
        assert_eq!(node.verdict(&first.key).await, good());
        assert_eq!(node.verdict("sk-gw-nobody").await, bad(401, "invalid_api_key"));
        let megabytes = |bytes: Option<u64>| bytes.map_or(0, |bytes| bytes / 1_000_000);
        println!(
            "{}: {KEYS} keys: listening after {listening:?}, first 200 after {served:?}, {} MB resident, {} MB without them",
            database.name(),
            megabytes(node.process.resident_memory()),
            megabytes(empty)
        );
        assert!(served < SLOWEST_START, "{served:?}");
        // What comes now is as quick as with few.
        let began = now();
        let made = node.admin().create(json!({ "name": "one more" })).await;
        assert_eq!(node.verdict(&made.key).await, good());
        node.admin().remove(&made.id).await;
        println!("made, used and ended one more in {:?}", began.elapsed());
        assert_eq!(node.admin().list().await.len(), KEYS + 2);
    }
}
