//! No file, an empty store and an admin key: everything else comes by the API, and stays.

use std::fs;

use gateway_tests::database::Database;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::line::{Line, Quality};
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site, bad, good, verdict};
use serde_json::json;

use crate::scene::{KEY, body, chat};

/// A database that can go away.
struct Removable {
    database: Database,
    line: Option<Line>,
    url: String,
}

impl Removable {
    async fn of(database: Database) -> Self {
        let (url, line) = match &database {
            Database::Sqlite(_) => (database.url(), None),
            Database::Postgres(url) => {
                let (url, line) = Line::of_url(url).await;
                (url, Some(line))
            }
        };
        Self { database, line, url }
    }

    fn go_away(&self) {
        self.set(Quality::Cut, "gateway.db", "away.db");
    }

    fn come_back(&self) {
        self.set(Quality::Good, "away.db", "gateway.db");
    }

    /// Of a file that nobody has open; its log is in it then.
    fn set(&self, quality: Quality, from: &str, to: &str) {
        match (&self.database, &self.line) {
            (Database::Sqlite(folder), _) => fs::rename(folder.path().join(from), folder.path().join(to)).unwrap(),
            (_, line) => line.as_ref().unwrap().set(quality),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_is_made_by_the_api_and_survives() {
    for database in Database::each() {
        let store = Removable::of(database).await;
        let site = Site::without_file().await.with("DB_URL", &store.url).with("GATEWAY__SERVER__STATE_DIR", "state");
        let node = site.start();
        let (status, told) = node.readiness().await;
        assert_eq!(
            (status, &told["status"]),
            (503, &json!("no providers are configured")),
            "{}",
            store.database.name()
        );
        assert_eq!(node.verdict("sk-gw-nobody").await, bad(401, "invalid_api_key"));
        let key = fill(&site, &node).await;
        assert_served(&site, &node, &key).await;
        assert_eq!(node.readiness().await, (200, json!({ "status": "ready", "store": "reachable" })));
        assert_eq!(node.admin().get("/admin/v1/config/version").await["source"], "environment and store");
        node.process.stop();

        let node = site.start();
        assert_served(&site, &node, &key).await;
        node.process.stop();
        store.go_away();

        let node = site.start();
        assert_served(&site, &node, &key).await;
        let (status, told) = node.readiness().await;
        assert_eq!(status, 200, "{told}");
        let state = told["store"].as_str().unwrap();
        assert!(state.ends_with("serving the keys of the last good snapshot"), "{state}");
        assert_eq!(node.admin().entries(PROVIDERS).await[0]["id"], "main");
        let answer = node.admin().send("PUT", "/admin/v1/providers/main", r#"{"weight":3}"#).await;
        assert_eq!(verdict(&answer), bad(503, "store_unavailable"), "{}", answer.text());
        assert_served(&site, &node, &key).await;

        store.come_back();
        let is_changed = async || {
            let answer = node.admin().send("PUT", "/admin/v1/providers/main", r#"{"weight":3}"#).await;
            (answer.status == 200).then(|| assert_eq!(answer.json()["weight"], 3))
        };
        until("a change that is taken again", is_changed).await;
        assert_served(&site, &node, &key).await;
    }
}

/// A provider, a model that is served by it, and a key that may use it.
async fn fill(site: &Site, node: &Node) -> String {
    let admin = node.admin();
    let mapping = json!({ "gpt-4o": "gpt-4o-2024" });
    let fields =
        json!({ "id": "main", "api_base": site.upstream.api_base(), "api_key": KEY, "model_mapping": mapping });
    let made = admin.post(PROVIDERS, &fields).await;
    assert_eq!((&made["id"], &made["source"], &made["is_enabled"]), (&json!("main"), &json!("store"), &json!(true)));
    admin.post(MODELS, &json!({ "id": "best", "targets": [{ "provider": "main", "model": "o3-2025" }] })).await;
    admin.create(json!({ "name": "team" })).await.key
}

async fn assert_served(site: &Site, node: &Node, key: &str) {
    for (model, upstream_model) in [("gpt-4o", "gpt-4o-2024"), ("best", "o3-2025")] {
        assert_eq!(verdict(&node.call_with(key, chat(model)).await), good(), "{model}");
        let request = site.upstream.requests().pop().unwrap();
        assert_eq!(body(&request)["model"], upstream_model);
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
    }
}
