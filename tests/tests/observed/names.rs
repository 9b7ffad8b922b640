//! Values of labels: names of the configuration for as long as it has them, and never what a caller made up.

use std::collections::BTreeSet;

use gateway_testing::{FakeUpstream, Script};
use gateway_tests::edited::Scene;
use gateway_tests::patience::until;
use gateway_tests::site::{Site, calling};
use gateway_tests::stage::{CALLER_KEY, CHAT, authorized, with_header};
use serde_json::json;

use crate::exposition::{LOADED, files_are_watched, label_values, requests, scrape, value};

/// A provider of some models, and one that takes any name.
const ANY: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: { gpt-4o: gpt-4o-2024, "claude-*": "*" } }
  - { name: any, api_base: "${OTHER}" }
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
"#;

fn call(model: &str) -> String {
    json!({ "model": model, "gateway": { "tags": { "invented": "invented" } } }).to_string()
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_made_up_is_unknown() {
    let other = FakeUpstream::start([]).await.unwrap();
    other.otherwise(|_| Script::json(200, r#"{"model":"invented-by-the-upstream"}"#));
    let site = Site::of(ANY).await.with("OTHER", &other.api_base());
    let node = site.start();
    let pretended = json!({ "model": "gpt-4o", "fallbacks": ["invented/model"] }).to_string();
    let calls = [
        (calling(CALLER_KEY, call("invented-model")), 200),
        (calling(CALLER_KEY, call("claude-invented")), 200),
        (calling(CALLER_KEY, pretended), 200),
        (calling("sk-invented", call("gpt-4o")), 401),
        (with_header(authorized("POST", CHAT, call("gpt-4o")), "x-request-id", "invented"), 200),
        (authorized("POST", "/v1/invented", call("gpt-4o")), 404),
        (authorized("GET", "/invented", ""), 404),
        (authorized("GET", "/v1/models/invented", ""), 200),
        (authorized("INVENTED", CHAT, ""), 405),
    ];
    let count = calls.len().to_string();
    for (request, status) in calls {
        let row = format!("{} {}", request.method(), request.uri());
        let answer = node.send(request).await;
        assert_eq!(answer.status, status, "{row}: {}", answer.text());
    }
    let all = async || Some(scrape(node.process.address()).await).filter(|text| requests(text).to_string() == count);
    let text = until("all calls to be counted", all).await.0;
    assert!(!text.to_lowercase().contains("invented"), "{text}");
    for (label, values) in [
        ("model", set(&["unknown", "claude-*", "gpt-4o"])),
        ("provider", set(&["main", "any", "none"])),
        ("api_key_name", set(&["team", "unknown"])),
        ("method", set(&["POST", "GET", "other"])),
        ("endpoint", set(&[CHAT, "/v1/models/{id}", "unknown"])),
    ] {
        assert_eq!(label_values(&text, label), values, "{label}: {text}");
    }
}

/// A file with a provider `doomed`, which has a model of its own, or without it.
fn config(has_doomed: bool) -> String {
    let doomed = if has_doomed {
        "  - { name: doomed, api_base: \"${UPSTREAM}\", model_mapping: { frail: frail-1 } }\n"
    } else {
        ""
    };
    format!(
        "providers:\n  - {{ name: main, api_base: \"${{UPSTREAM}}\", model_mapping: {{ gpt-4o: gpt-4o-2024 }} }}\n{doomed}\
         master_keys: [ {{ name: team, key: \"${{CALLER_KEY}}\" }} ]\n"
    )
}

/// How many calls of a key to a model at a provider succeeded.
fn served(text: &str, model: &str, provider: &str, key: &str) -> f64 {
    let target = format!(r#"model="{model}",provider="{provider}",status_code="200",api_key_name="{key}""#);
    value(text, &format!(r#"llm_proxy_requests_total{{method="POST",endpoint="{CHAT}",{target}}}"#))
}

/// What is exported of a scene.
struct Seen<'a>(&'a Scene);

impl Seen<'_> {
    /// Makes so many calls, one after the other.
    async fn call(&self, model: &str, key: &str, times: usize) {
        for _ in 0..times {
            let answer = self.0.node.call_with(key, json!({ "model": model }).to_string()).await;
            assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        }
    }

    /// Waits until what is exported is so, and gives it.
    async fn until(&self, awaited: &str, is_so: impl Fn(&str) -> bool) -> String {
        let text = async || Some(self.text().await).filter(|text| is_so(text));
        until(awaited, text).await.0
    }

    async fn text(&self) -> String {
        scrape(self.0.node.process.address()).await
    }
}

#[expect(clippy::float_cmp, reason = "they are whole numbers")]
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_removed_disappears_and_begins_anew_when_it_is_added_again() {
    let scene = Scene::on(&config(true)).await;
    let seen = Seen(&scene);
    files_are_watched(scene.node.process.address()).await;
    seen.call("gpt-4o", CALLER_KEY, 3).await;
    seen.call("frail", CALLER_KEY, 2).await;
    let is_counted = |text: &str| served(text, "frail", "doomed", "team") == 2.0;
    let text = seen.until("calls to be counted", is_counted).await;
    assert_eq!(label_values(&text, "provider"), set(&["main", "doomed"]));

    scene.replace(config(false));
    scene.version_is(2).await;
    let is_gone = |text: &str| !text.contains("doomed") && !text.contains("frail");
    let text = seen.until("the provider to disappear", is_gone).await;
    assert_eq!(served(&text, "gpt-4o", "main", "team"), 3.0, "what did not change counts on: {text}");
    assert_eq!(value(&text, "llm_proxy_config_version"), 2.0);
    assert_eq!(value(&text, LOADED), 2.0);
    seen.call("gpt-4o", CALLER_KEY, 1).await;

    scene.replace(config(true));
    scene.version_is(3).await;
    let text = seen.text().await;
    assert_eq!(value(&text, r#"llm_proxy_provider_health{provider="doomed"}"#), 1.0, "{text}");
    assert!(!text.contains("frail"), "nothing has been counted yet: {text}");
    seen.call("frail", CALLER_KEY, 1).await;
    let text = seen.until("the call to be counted", |text| served(text, "frail", "doomed", "team") > 0.0).await;
    assert_eq!(served(&text, "frail", "doomed", "team"), 1.0, "{text}");
    assert_eq!(served(&text, "gpt-4o", "main", "team"), 4.0, "{text}");

    scene.replace("providers: 7");
    scene.refused("providers").await;
    let failed = |text: &str| value(text, r#"llm_proxy_config_reloads_total{result="failure"}"#) == 1.0;
    let text = seen.until("the refusal to be counted", failed).await;
    assert_eq!(served(&text, "gpt-4o", "main", "team"), 4.0, "{text}");
}

#[expect(clippy::float_cmp, reason = "they are whole numbers")]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_deleted_disappears() {
    let scene = Scene::on(&config(false)).await;
    let (seen, admin) = (Seen(&scene), scene.node.admin());
    let leaver = async || admin.create(json!({ "id": "leaver", "name": "leaver" })).await.key;
    let key = leaver().await;
    seen.call("gpt-4o", &key, 2).await;
    seen.call("gpt-4o", CALLER_KEY, 1).await;
    let is_counted = |text: &str| served(text, "gpt-4o", "main", "leaver") == 2.0;
    seen.until("calls to be counted", is_counted).await;
    admin.remove("leaver").await;
    let text = seen.until("the key to disappear", |text| !text.contains("leaver")).await;
    assert_eq!(served(&text, "gpt-4o", "main", "team"), 1.0, "{text}");
    assert!(!text.contains(&key) && !text.contains(CALLER_KEY), "{text}");

    let another = admin.create(json!({ "name": "leaver" })).await.key;
    seen.call("gpt-4o", &another, 1).await;
    let text = seen.until("the call to be counted", |text| served(text, "gpt-4o", "main", "leaver") > 0.0).await;
    assert_eq!(served(&text, "gpt-4o", "main", "leaver"), 1.0, "a key of the same name is another: {text}");
}
