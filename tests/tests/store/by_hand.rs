//! Administrators who know SQL.

use gateway_secret::KeyDigest;
use gateway_tests::database::Database;
use gateway_tests::promptness::Promptness;
use gateway_tests::site::{Node, Site, bad, good};
use serde_json::json;

const KEY: &str = "sk-made-by-hand-1f7a";
const OTHER: &str = "sk-made-by-hand-2c80";

/// A gateway, and the hand in its store.
struct Hand<'a> {
    database: &'a Database,
    node: &'a Node,
    promptness: Promptness,
}

impl<'a> Hand<'a> {
    fn new(database: &'a Database, node: &'a Node) -> Self {
        Self { database, node, promptness: Promptness::of(format!("{}: done by hand", database.name())) }
    }

    /// Executes a statement and looks until a key is treated as it should be from then on.
    async fn execute(&mut self, sql: &str, key: &str, expected: &(u16, String)) {
        self.database.execute(sql).await;
        println!("{sql}");
        self.promptness.measure(async || self.node.verdict(key).await == *expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_by_hand_holds_within_a_second() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let node = site.start();
        let [digest, other] = [KEY, OTHER].map(|key| database.bytes(KeyDigest::of(key.as_bytes()).as_bytes()));
        let insert = format!(
            "INSERT INTO master_keys (id, name, digest, allowed_models) VALUES ('hand', 'by hand', {digest}, '[\"*\"]')"
        );
        let replace = format!("UPDATE master_keys SET digest = {other} WHERE id = 'hand'");
        let unknown = bad(401, "invalid_api_key");
        let mut hand = Hand::new(&database, &node);
        for (sql, key, expected) in [
            (&*insert, KEY, good()),
            ("UPDATE master_keys SET is_enabled = FALSE WHERE id = 'hand'", KEY, bad(401, "disabled_api_key")),
            ("UPDATE master_keys SET is_enabled = TRUE, expires_at = 1", KEY, bad(401, "expired_api_key")),
            ("UPDATE master_keys SET expires_at = NULL, allowed_models = '[]'", KEY, bad(403, "model_not_allowed")),
            ("UPDATE master_keys SET allowed_models = '[\"gpt-4o\"]', id = 'renamed'", KEY, good()),
            ("UPDATE master_keys SET rate_limit = '{\"limit\":0}'", KEY, bad(429, "rate_limit_exceeded")),
            ("UPDATE master_keys SET rate_limit = NULL, id = 'hand'", KEY, good()),
            (&replace, OTHER, good()),
            ("DELETE FROM master_keys", OTHER, unknown.clone()),
            (&insert, KEY, good()),
        ] {
            hand.execute(sql, key, &expected).await;
        }
        hand.promptness.assert_kept();
        assert_eq!(node.verdict(OTHER).await, unknown);
        // What was made by hand can be changed in the ordinary way, and is noted from then on.
        let found = node.admin().find("hand").await;
        assert_eq!(
            (&found["name"], &found["key_preview"], &found["metadata"]),
            (&json!("by hand"), &json!(""), &json!({}))
        );
        let newer = node.admin().rotate("hand", 600).await;
        assert_eq!((node.verdict(KEY).await, node.verdict(&newer.key).await), (good(), good()));
        assert_eq!(node.admin().audit().await.len(), 1);
    }
}

/// A row that makes no sense is one key that does not work, and not a gateway that does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_makes_no_sense_takes_nobody_with_it() {
    for database in Database::each() {
        let site = Site::new().await.with("DB_URL", &database.url());
        let node = site.start();
        let made = node.admin().create(json!({ "id": "victim", "name": "x" })).await;
        let sound = node.admin().create(json!({ "id": "zz-sound", "name": "x" })).await;
        let mut hand = Hand::new(&database, &node);
        for (column, value) in [
            ("rate_limit", "'{\"requests_per_second\":-1}'"),
            ("rate_limit", "'{\"rps\":1}'"),
            ("rate_limit", "'{\"requests_per_second\":99999999999999}'"),
            ("rate_limit", "'no JSON'"),
            ("budget", "'{}'"),
            ("allowed_models", "'\"*\"'"),
            ("metadata", "'[1]'"),
            ("expires_at", "9223372036854775807"),
            ("digest", "sixteen bytes"),
            ("previous_valid_until", "1"),
        ] {
            let short = database.bytes(&[7; 16]);
            let value = if column == "digest" { &short } else { value };
            let sql = format!("UPDATE master_keys SET {column} = {value} WHERE id = 'victim'");
            hand.execute(&sql, &made.key, &bad(401, "invalid_api_key")).await;
            let line = node.process.log_line(|line| line.contains("left out"));
            assert!(line.contains("victim") && line.contains("ERROR"), "{line}");
            assert_eq!(node.verdict(&sound.key).await, good(), "{sql}");
            let ids: Vec<_> = node.admin().list().await.iter().map(|key| key["id"].clone()).collect();
            assert!(ids.contains(&json!("zz-sound")), "{sql}: {ids:?}");
            // A gateway that starts now serves the others, too.
            let fresh = site.start_elsewhere();
            assert_eq!(fresh.verdict(&sound.key).await, good(), "{sql}");
            assert_eq!(fresh.verdict(&made.key).await, bad(401, "invalid_api_key"), "{sql}");
            let digest = database.bytes(KeyDigest::of(made.key.as_bytes()).as_bytes());
            let repair = format!(
                "UPDATE master_keys SET rate_limit = NULL, budget = NULL, allowed_models = '[\"*\"]', metadata = '{{}}', \
                 expires_at = NULL, digest = {digest}, previous_valid_until = NULL WHERE id = 'victim'"
            );
            hand.execute(&repair, &made.key, &good()).await;
        }
        hand.promptness.assert_kept();
    }
}
