//! What `/health/detailed` says, and to whom.

use gateway_testing::{Answer, Script, client};
use gateway_tests::database::Database;
use gateway_tests::entries::PROVIDERS;
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site};
use gateway_tests::stage::{CALLER_KEY, with_header};
use serde_json::{Value, json};

use crate::scene::{Scene, call, detailed, provider, upstream};

const PATH: &str = "/health/detailed";
/// What somebody has put in the wrong place.
const MISPLACED: &str = "sk-misplaced-5b0e7d21";

async fn seen_with(node: &Node, header: Option<(&'static str, &str)>) -> Answer {
    let request = client::request("GET", PATH, "");
    node.send(match header {
        Some((name, value)) => with_header(request, name, value),
        None => request,
    })
    .await
}

/// Leaves a provider out, and has the next reload refused, each with a credential in the text that says why.
async fn break_it(database: &Database, site: &Site, node: &Node) {
    let insert = format!("INSERT INTO providers (name, settings) VALUES ('hand-made', '{{\"{MISPLACED}\":1}}')");
    database.execute(&insert).await;
    let config = site.folder.path().join("config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\nlogging: {MISPLACED}\n")).unwrap();
    let is_told = async || {
        let config = &detailed(node).await["config"];
        (config["left_out_count"] == 1 && config["last_error"].is_string()).then_some(())
    };
    until("both to be told", is_told).await;
}

fn assert_told_little(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (text, report) = (answer.text(), answer.json());
    assert_eq!(report["status"], "degraded", "{text}");
    let config = &report["config"];
    assert_eq!((&config["last_error"], &config["left_out_count"]), (&json!("the last change was refused"), &json!(1)));
    for shown in ["version", "source", "loaded_at"] {
        assert!(!config[shown].is_null(), "{shown}: {text}");
    }
    for hidden in [MISPLACED, "hand-made", "config.yaml", "logging"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_to_administrators_and_that_something_is_to_callers() {
    for scene in Scene::each().await {
        break_it(&scene.database, &scene.site, &scene.node).await;
        let told = detailed(&scene.node).await;
        assert_eq!(told["config"]["left_out"][0]["name"], "hand-made", "{told}");
        assert!(told["config"]["last_error"].as_str().unwrap().contains("logging"), "{told}");
        assert_told_little(&seen_with(&scene.node, Some(("x-api-key", CALLER_KEY))).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_key_is_asked_for_everybody_is_a_caller() {
    let database = Database::sqlite();
    let config = "auth: none\nproviders: [ { name: filed, api_base: \"${UPSTREAM}\" } ]\n";
    let site = Site::of(config).await.with("DB_URL", &database.url());
    let node = site.start();
    break_it(&database, &site, &node).await;
    assert_told_little(&seen_with(&node, None).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_and_a_wrong_one_are_told_apart() {
    let scene = Scene::on(Database::sqlite()).await;
    let basic = Some(("authorization", "Basic dTpw"));
    for (header, code) in [
        (None, "missing_api_key"),
        (basic, "missing_api_key"),
        (Some(("authorization", "Bearer ")), "missing_api_key"),
        (Some(("x-api-key", "")), "missing_api_key"),
        (Some(("authorization", "bearer sk-nobody")), "invalid_api_key"),
        (Some(("x-api-key", "sk-nobody")), "invalid_api_key"),
        (Some(("api-key", "sk-nobody")), "invalid_api_key"),
    ] {
        let answer = seen_with(&scene.node, header).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (401, code), "{header:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{header:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_down_when_none_of_its_targets_is_asked_any_more() {
    const FILE: &str = "master_keys: [ { name: team, key: \"${CALLER_KEY}\" } ]\nretry: { max_retries: 0 }\n\
                        circuit_breaker: { consecutive_failures: 2, open: 300s }\n";
    let database = Database::sqlite();
    let site = Site::of(FILE).await.with("DB_URL", &database.url());
    let node = site.start();
    let failing = upstream().await;
    failing.otherwise(|_| Script::json(500, "{}"));
    let mut fields = provider(&failing, "weak", "a");
    fields["model_mapping"] = json!({ "a": "a", "b": "b" });
    node.admin().post(PROVIDERS, &fields).await;
    let status = async || detailed(&node).await["providers"][0]["status"].clone();
    assert_eq!(status().await, "ok");
    for (model, expected) in [("a", "degraded"), ("b", "down")] {
        for _ in 0..2 {
            assert_eq!(call(&node, model).await.status, 502);
        }
        let found: Value = status().await;
        assert_eq!(found, expected, "{model}");
    }
}
