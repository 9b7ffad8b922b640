//! Providers that are asked in the background whether they answer: who is asked, what is shown of it, and what it leaves alone.

use gateway_testing::{FakeUpstream, Script, client};
use gateway_tests::entries::PROVIDERS;
use gateway_tests::patience::until;
use gateway_tests::site::{Node, Site, good};
use gateway_tests::stage::{CALLER_KEY, PROVIDER_KEY};
use serde_json::{Value, json};

/// What a provider needs to be asked every second.
const EVERY_SECOND: &str = "health_check: { interval: 1s, timeout: 5s }";

/// A key with room for a single call.
const KEY: &str =
    "master_keys: [ { name: team, key: \"${CALLER_KEY}\", rate_limit: { limit: 1, period_seconds: 3600 } } ]";

/// What every line of the access log has.
const ACCESS: &str = r#""target":"access""#;

/// One provider with a key of its own and this more, nothing that is tried twice, and a breaker that opens at once.
fn config(more: &str) -> String {
    let provider = "name: main, api_base: \"${UPSTREAM}\", api_key: \"${PROVIDER_KEY}\"";
    format!(
        "providers: [ {{ {provider}, model_mapping: {{ gpt-4o: gpt-4o-2024 }}{more} }} ]\n{KEY}\n\
         retry: {{ max_retries: 0 }}\ncircuit_breaker: {{ consecutive_failures: 1, open: 300s, max_open: 300s }}\n"
    )
}

async fn site(more: &str) -> Site {
    Site::of(&config(&format!(", {more}"))).await.with("PROVIDER_KEY", PROVIDER_KEY)
}

/// What `/health/detailed` says of a provider.
async fn seen(node: &Node, name: &str) -> Value {
    let report = node.admin().get("/health/detailed").await;
    let providers = report["providers"].as_array().unwrap_or_else(|| panic!("{report}"));
    providers.iter().find(|it| it["name"] == name).cloned().unwrap_or_default()
}

async fn metrics(node: &Node) -> String {
    client::get(node.process.address(), "/metrics").await.text()
}

/// Waits until a provider's last check has ended like this: `ok`, `failed`, or null for none.
async fn checked(node: &Node, name: &str, status: &Value) -> Value {
    let look = async || Some(seen(node, name).await).filter(|it| it.is_object() && it["checked"]["status"] == *status);
    until(&format!("{name} to be checked with {status}"), look).await.0
}

/// Waits until an upstream has received so many requests.
async fn asked(upstream: &FakeUpstream, number: usize) {
    until(&format!("request {number}"), async || (upstream.requests().len() >= number).then_some(())).await;
}

async fn assert_shown(node: &Node, name: &str, status: &str, health: u8) {
    assert_eq!(seen(node, name).await["status"], status);
    let line = format!("llm_proxy_provider_health{{provider=\"{name}\"}} {health}\n");
    let metrics = metrics(node).await;
    assert!(metrics.contains(&line), "{line}{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_known_to_be_before_anybody_calls_and_so_is_its_return() {
    let site = site(EVERY_SECOND).await;
    site.upstream.otherwise(|_| Script::json(500, "{}"));
    let node = site.start();
    let report = checked(&node, "main", &json!("failed")).await;
    assert_eq!((&report["status"], &report["checked"]["error"]), (&json!("degraded"), &json!("server_error")));
    assert!(report["checked"]["at"].is_string() && report["last_error"].is_null(), "{report}");
    assert_shown(&node, "main", "degraded", 0).await;

    site.upstream.otherwise(|_| Script::json(200, "{}"));
    let report = checked(&node, "main", &json!("ok")).await;
    assert_eq!((&report["status"], &report["checked"]["error"]), (&json!("ok"), &Value::Null));
    assert_shown(&node, "main", "ok", 1).await;
    let (fault, end) = ("a provider does not answer its health check", "a provider answers its health check again");
    let lines = node.process.log_until(|line| line.contains(end));
    let told = lines.iter().filter(|line| line.contains(fault)).count();
    assert_eq!(told, 1, "once, however often it was asked: {lines:?}");
}

/// A connection that nobody takes is what is left of an upstream that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_there_is_found_out() {
    let site = site(EVERY_SECOND).await.with("UPSTREAM", "http://127.0.0.1:1/v1");
    let node = site.start();
    assert_eq!(checked(&node, "main", &json!("failed")).await["checked"]["error"], "transport");
    assert_shown(&node, "main", "degraded", 0).await;
}

/// A check is told to operators and to nobody else: calls are still sent where it failed, at the first attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_check_keeps_no_call_away_and_a_good_one_lets_none_through() {
    let site = site(EVERY_SECOND).await;
    site.upstream.otherwise(|_| Script::json(500, "{}"));
    let node = site.start();
    let report = checked(&node, "main", &json!("failed")).await;
    assert_eq!(report["targets"], json!([{ "model": "gpt-4o-2024", "breaker": "closed", "in_flight": 0 }]));
    let is_check = |body: &[u8]| body.windows(10).any(|it| it == b"max_tokens");
    site.upstream.otherwise(move |request| Script::json(if is_check(&request.body) { 500 } else { 200 }, "{}"));
    assert_eq!(node.verdict(CALLER_KEY).await, good());
    assert_eq!(seen(&node, "main").await["checked"]["status"], "failed");

    // And the other way round: the breaker that a call has opened stays open, whatever checks say.
    let site = self::site(EVERY_SECOND).await;
    site.upstream.otherwise(move |request| Script::json(if is_check(&request.body) { 200 } else { 500 }, "{}"));
    let node = site.start();
    assert_eq!(node.call(CALLER_KEY).await.status, 502);
    let requests = site.upstream.requests().len();
    asked(&site.upstream, requests + 2).await;
    let report = checked(&node, "main", &json!("ok")).await;
    assert_eq!((&report["status"], &report["targets"][0]["breaker"]), (&json!("down"), &json!("open")), "{report}");
    assert_shown(&node, "main", "down", 0).await;
}

/// Three checks: nobody's call, whatever counts calls. The caller's one call is still there after them.
#[tokio::test(flavor = "multi_thread")]
async fn checks_are_nobodys_calls() {
    let site = site(EVERY_SECOND).await;
    let node = site.start();
    asked(&site.upstream, 3).await;
    checked(&node, "main", &json!("ok")).await;
    let text = metrics(&node).await;
    for family in ["requests_total", "attempts_total", "tokens_total", "cost_usd_total", "active_requests"] {
        let counted =
            text.lines().find(|line| line.starts_with(&format!("llm_proxy_{family}{{")) && !line.ends_with(" 0"));
        assert_eq!(counted, None, "{family}");
    }
    let usage = node.admin().get("/admin/v1/usage").await;
    assert_eq!((&usage["totals"]["requests"], &usage["data"]), (&json!(0), &json!([])), "{usage}");
    for request in site.upstream.requests() {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((&body["model"], &body["max_tokens"]), (&json!("gpt-4o-2024"), &json!(1)));
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {PROVIDER_KEY}")));
    }
    assert_eq!(node.verdict(CALLER_KEY).await, good());
    assert_eq!(node.call(CALLER_KEY).await.status, 429, "the key has room for one call, and that was it");
    let lines = node.process.log_until(|line| line.contains(ACCESS) && line.contains(r#""status":429"#));
    let calls = lines.iter().filter(|line| line.contains(ACCESS)).count();
    assert_eq!(calls, 2, "a line for each call and none for a check: {lines:?}");
}

/// Beside a provider that is asked again and again, one that has no section, one that is switched off and one that says no.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_who_is_not_to_be() {
    let [left_alone, upstream] =
        [FakeUpstream::start([]).await.expect("a free port"), FakeUpstream::start([]).await.expect("a free port")];
    upstream.otherwise(|_| Script::json(200, "{}"));
    let at = |name: &str, base: &str, more: &str| {
        format!("{{ name: {name}, api_base: '{base}', model_mapping: [m]{more} }}")
    };
    let base = left_alone.api_base();
    let providers = [
        at("asked", &upstream.api_base(), &format!(", {EVERY_SECOND}")),
        at("plain", &base, ""),
        at("refusing", &base, ", health_check: false"),
        at("without_interval", &base, ", health_check: { model: m }"),
        at("disabled", &base, &format!(", enabled: false, {EVERY_SECOND}")),
    ];
    let site = Site::of(&format!("auth: none\nproviders: [ {} ]\n", providers.join(", "))).await;
    let node = site.start();
    // Whoever is asked at all is asked within a second of the start.
    asked(&upstream, 4).await;
    assert_eq!(left_alone.requests().len(), 0);
    for name in ["plain", "refusing", "without_interval"] {
        assert!(seen(&node, name).await["checked"].is_null(), "{name}");
        assert_shown(&node, name, "ok", 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_ends_the_checks_and_another_begins_them_again() {
    let site = site(EVERY_SECOND).await;
    site.upstream.otherwise(|_| Script::json(500, "{}"));
    let node = site.start();
    checked(&node, "main", &json!("failed")).await;
    // Another one is checked from now on; its checks tell that time goes by.
    let other = FakeUpstream::start([]).await.expect("a free port");
    other.otherwise(|_| Script::json(200, "{}"));
    let clock = format!(", {{ name: clock, api_base: '{}', model_mapping: [m], {EVERY_SECOND} }} ]", other.api_base());
    let with_clock = |more: &str| config(more).replacen(" ]", &clock, 1);
    site.folder.write("config.yaml", with_clock(""));
    checked(&node, "main", &Value::Null).await;
    checked(&node, "clock", &json!("ok")).await;
    assert_shown(&node, "main", "ok", 1).await;
    let (requests, ticks) = (site.upstream.requests().len(), other.requests().len());
    asked(&other, ticks + 3).await;
    assert_eq!(site.upstream.requests().len(), requests, "nobody asks any more");

    site.folder.write("config.yaml", with_clock(&format!(", {EVERY_SECOND}")));
    checked(&node, "main", &json!("failed")).await;
    assert_shown(&node, "main", "degraded", 0).await;
}

/// By the Admin API: made, changed and taken away, with no call in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_the_store_is_checked_as_it_says() {
    let site = Site::new().await;
    site.upstream.otherwise(|_| Script::json(503, "{}"));
    let node = site.start();
    let fields = json!({
        "id": "made", "api_base": site.upstream.api_base(), "model_mapping": { "a": "a-1", "b": "b-1" },
        "health_check": { "interval": "1s", "model": "b" },
    });
    let made = node.admin().post(PROVIDERS, &fields).await;
    assert_eq!(made["health_check"], json!({ "interval": "1s", "timeout": "10s", "model": "b" }));
    checked(&node, "made", &json!("failed")).await;
    assert_shown(&node, "made", "degraded", 0).await;
    let body: Value = serde_json::from_slice(&site.upstream.requests()[0].body).unwrap();
    assert_eq!(body["model"], "b-1");
    site.upstream.otherwise(|_| Script::json(200, "{}"));
    checked(&node, "made", &json!("ok")).await;
    assert_shown(&node, "made", "ok", 1).await;

    // What is said of something else leaves the checks alone; `false` ends them.
    let one = format!("{PROVIDERS}/made");
    assert_eq!(node.admin().put(&one, &json!({ "weight": 2 })).await["health_check"], made["health_check"]);
    checked(&node, "made", &json!("ok")).await;
    assert_eq!(node.admin().put(&one, &json!({ "health_check": false })).await["health_check"], false);
    checked(&node, "made", &Value::Null).await;
    assert_shown(&node, "made", "ok", 1).await;
}
