//! `/health/detailed` with something to tell of in every member, held against its schema.

use gateway_testing::{Answer, Script, client};
use gateway_tests::administrator::ADMIN_KEY;
use gateway_tests::database::Database;
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site};
use gateway_tests::stage::{CALLER_KEY, with_header};
use serde_json::{Value, json};

use crate::python;

const PATH: &str = "/health/detailed";

/// A provider that fails its callers and its checks, and one that nobody asks.
const CONFIG: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: [ gpt-4o ], health_check: { interval: 1s } }
  - { name: idle, api_base: "${UPSTREAM}", model_mapping: [ other ] }
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
retry: { max_retries: 0 }
circuit_breaker: { consecutive_failures: 1, open: 300s, max_open: 300s }
"#;

async fn seen_with(node: &Node, key: Option<&str>) -> Answer {
    let request = client::request("GET", PATH, "");
    node.send(match key {
        Some(key) => with_header(request, "authorization", &format!("Bearer {key}")),
        None => request,
    })
    .await
}

/// A gateway of which everything is wrong that the answer can tell of.
async fn in_trouble(site: &Site, database: &Database) -> Node {
    site.upstream.otherwise(|_| Script::json(500, "{}"));
    let node = site.start();
    assert_eq!(node.call(CALLER_KEY).await.status, 502);
    database.execute("INSERT INTO providers (name, settings) VALUES ('odd', '{\"wieght\":1}')").await;
    let targets = r#"{"targets":[{"provider":"odd","model":"x"}]}"#;
    database.execute(&format!("INSERT INTO models (name, settings) VALUES ('withheld', '{targets}')")).await;
    site.folder.write("config.yaml", format!("{CONFIG}\nrouting: 7\n"));
    let told = async || {
        let report = seen_with(&node, Some(ADMIN_KEY)).await.json();
        let config = &report["config"];
        let is_whole = config["last_error"].is_string() && config["left_out_count"] != 0;
        (is_whole && report["providers"][0]["checked"].is_object()).then_some(())
    };
    until("all of it to be told", told).await;
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn detailed_health_is_what_the_document_says() {
    let database = Database::sqlite();
    let site = Site::of(CONFIG).await.with("DB_URL", &database.url());
    let node = in_trouble(&site, &database).await;
    let document: Value = client::get(node.process.address(), "/openapi.json").await.json();
    let responses = &document["paths"][PATH]["get"]["responses"];
    let mut answers = Vec::new();
    for (who, key, status) in
        [("an administrator", Some(ADMIN_KEY), 200), ("a caller", Some(CALLER_KEY), 200), ("a stranger", None, 401)]
    {
        let answer = seen_with(&node, key).await;
        assert_eq!(answer.status, status, "{who}: {}", answer.text());
        let response = &responses[status.to_string()];
        let response = response["$ref"].as_str().map_or(response, |place| document.pointer(&place[1..]).unwrap());
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{who}");
        answers.push(json!({ "what": who, "schema": schema, "answer": answer.json() }));
    }
    python::assert_conform(&document, &answers);
    assert_nothing_is_missing(&answers[0]["answer"]);
    let config = answers[1]["answer"]["config"].as_object().unwrap();
    assert!(!config.contains_key("left_out") && !config.contains_key("withheld_models"), "{config:?}");
}

/// There was something in every member, or the schema has not been held to much.
fn assert_nothing_is_missing(report: &Value) {
    assert_eq!(report["config"]["withheld_models"], json!(["withheld"]), "{report}");
    assert_eq!(report["config"]["left_out"][0]["name"], "odd", "{report}");
    assert_eq!(report["conditions"]["store"], "reachable", "{report}");
    let main = &report["providers"][0];
    assert_eq!((&main["status"], &main["last_error"]["class"]), (&json!("down"), &json!("server_error")), "{report}");
    assert_eq!((&main["checked"]["status"], &main["checked"]["error"]), (&json!("failed"), &json!("server_error")));
    assert_eq!(main["targets"], json!([{ "model": "gpt-4o", "breaker": "open", "in_flight": 0 }]), "{report}");
    let idle = &report["providers"][1];
    assert_eq!((&idle["last_error"], &idle["checked"]), (&Value::Null, &Value::Null), "{report}");
}
