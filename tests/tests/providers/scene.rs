//! A gateway with one provider and one model in its file, and the rest in its store.

use gateway_testing::{Answer, FakeUpstream, ReceivedRequest, Script};
use gateway_tests::administrator::Administrator;
use gateway_tests::database::Database;
use gateway_tests::entries::{MODELS, PROVIDERS};
use gateway_tests::site::{Node, Site};
use gateway_tests::stage::CALLER_KEY;
use serde_json::{Value, json};

/// The file: `filed` serves `filed-1`, which the model `filed-model` is, and the key is [`CALLER_KEY`].
pub(crate) const FILE: &str = r#"
providers: [ { name: filed, api_base: "${UPSTREAM}", model_mapping: [ filed-1 ] } ]
models: { filed-model: { targets: [ { provider: filed, model: filed-1 } ] } }
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
retry: { max_retries: 0 }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
"#;

/// The key of every provider that is made here.
pub(crate) const KEY: &str = "sk-made-4d1b7c90e35f28a6";

/// A gateway on [`FILE`] and a database.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) node: Node,
    pub(crate) database: Database,
}

impl Scene {
    pub(crate) async fn on(database: Database) -> Self {
        let site = Site::of(FILE).await.with("DB_URL", &database.url());
        let node = site.start();
        Self { site, node, database }
    }

    /// One for each kind of database.
    pub(crate) async fn each() -> Vec<Self> {
        let mut scenes = Vec::new();
        for database in Database::each() {
            scenes.push(Self::on(database).await);
        }
        scenes
    }

    pub(crate) fn admin(&self) -> Administrator {
        self.node.admin()
    }

    /// The fields of a provider at the first upstream that serves one model.
    pub(crate) fn provider(&self, id: &str, model: &str) -> Value {
        provider(&self.site.upstream, id, model)
    }

    /// Calls a model, and gives what the first upstream received. Panics if that is not one request.
    pub(crate) async fn received(&self, model: &str) -> ReceivedRequest {
        received(&self.node, &self.site.upstream, model).await
    }

    /// What becomes of a call: 200, or the status and code of the error.
    pub(crate) async fn verdict(&self, model: &str) -> (u16, String) {
        gateway_tests::site::verdict(&call(&self.node, model).await)
    }
}

/// The fields of a provider at an upstream that serves one model.
pub(crate) fn provider(upstream: &FakeUpstream, id: &str, model: &str) -> Value {
    json!({ "id": id, "api_base": upstream.api_base(), "api_key": KEY, "model_mapping": { model: model } })
}

/// Another upstream, which answers with an empty object.
pub(crate) async fn upstream() -> FakeUpstream {
    let upstream = FakeUpstream::start([]).await.unwrap();
    upstream.otherwise(|_| Script::json(200, "{}"));
    upstream
}

/// The smallest call for a model.
pub(crate) fn chat(model: &str) -> String {
    json!({ "model": model }).to_string()
}

/// Calls a model with the key of the file.
pub(crate) async fn call(node: &Node, model: &str) -> Answer {
    node.call_with(CALLER_KEY, chat(model)).await
}

/// Calls a model, and gives what an upstream received. Panics if that is not one request.
pub(crate) async fn received(node: &Node, upstream: &FakeUpstream, model: &str) -> ReceivedRequest {
    let before = upstream.requests().len();
    let answer = call(node, model).await;
    assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    let mut requests = upstream.requests().split_off(before);
    assert_eq!(requests.len(), 1, "{model}: {requests:?}");
    requests.remove(0)
}

/// The body of a request that an upstream received.
pub(crate) fn body(request: &ReceivedRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// The path of a provider.
pub(crate) fn one(id: &str) -> String {
    format!("{PROVIDERS}/{id}")
}

/// The path of a model.
pub(crate) fn one_model(id: &str) -> String {
    format!("{MODELS}/{id}")
}

/// What `/health/detailed` says.
pub(crate) async fn detailed(node: &Node) -> Value {
    node.admin().get("/health/detailed").await
}

/// The entries that are left out, each as its kind and name, with the reason.
pub(crate) async fn left_out(node: &Node) -> Vec<(String, String)> {
    let left_out = detailed(node).await["config"]["left_out"].as_array().unwrap().clone();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let named = |entry: &Value| format!("{} {}", text(entry, "kind"), text(entry, "name"));
    left_out.iter().map(|entry| (named(entry), text(entry, "problem"))).collect()
}
