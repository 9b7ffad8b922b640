//! Providers that are tried with real requests.

use std::time::Duration;

use gateway_testing::{FakeUpstream, Gate, Script};
use gateway_tests::clock::now;
use gateway_tests::database::Database;
use gateway_tests::entries::PROVIDERS;
use gateway_tests::site::{Node, bad, good, verdict};
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, body, one, upstream};

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;

async fn check(node: &Node, id: &str, fields: Value) -> Value {
    let answer = node.admin().send("POST", &format!("{}/health", one(id)), fields.to_string()).await;
    assert_eq!(answer.status, 200, "{id}: {fields}: {}", answer.text());
    answer.json()
}

/// The one model of a provider's health.
fn only(health: &Value) -> &Value {
    let models = health["models"].as_array().unwrap();
    assert_eq!(models.len(), 1, "{health}");
    &models[0]
}

async fn scene() -> Scene {
    let scene = Scene::on(Database::sqlite()).await;
    scene.site.upstream.otherwise(|_| Script::json(200, ANSWER));
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_answers_is_healthy() {
    let scene = scene().await;
    let mut fields = scene.provider("made", "m");
    fields["model_mapping"] = json!({ "m": "m-2024", "n": "n-2024", "wild-*": "*" });
    fields["headers"] = json!({ "x-team": "ml" });
    scene.admin().post(PROVIDERS, &fields).await;
    let health = check(&scene.node, "made", json!({})).await;
    assert_eq!((&health["provider_id"], &health["status"]), (&json!("made"), &json!("healthy")), "{health}");
    let models: Vec<_> = health["models"].as_array().unwrap().iter().map(|it| it["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["m", "n"], "patterns name nothing");
    for model in health["models"].as_array().unwrap() {
        assert_eq!((&model["status"], &model["error"]), (&json!("healthy"), &Value::Null), "{health}");
        assert!(model["response_time_ms"].is_u64(), "{health}");
    }
    let requests = scene.site.upstream.requests();
    let mut sent: Vec<_> = requests.iter().map(|it| body(it)["model"].as_str().unwrap().to_owned()).collect();
    sent.sort();
    assert_eq!(sent, ["m-2024", "n-2024"]);
    for request in &requests {
        assert_eq!(request.target(), "/v1/chat/completions");
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
        assert_eq!((request.header("x-team"), &body(request)["max_tokens"]), (Some("ml"), &json!(1)));
    }
    // Models that are asked for, whether the mapping names them or not.
    let health = check(&scene.node, "made", json!({ "models": ["wild-7", "wild-7"] })).await;
    assert_eq!((&only(&health)["model"], &health["status"]), (&json!("wild-7"), &json!("healthy")));
    assert_eq!(body(&scene.site.upstream.requests().pop().unwrap())["model"], "wild-7");
    assert_eq!(check(&scene.node, "filed", json!({})).await["status"], "healthy", "one of the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_and_harms_nobody() {
    let scene = scene().await;
    let failing = upstream().await;
    for (number, (script, words)) in [
        (Script::json(401, r#"{"error":{"message":"no such key","code":"invalid_api_key"}}"#), "credentials"),
        (Script::json(403, r#"{"error":{"message":"not here"}}"#), "credentials"),
        (
            Script::json(404, r#"{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}"#),
            "does not know the model",
        ),
        (Script::json(429, r#"{"error":{"message":"slow down"}}"#), "limits"),
        (Script::json(500, r#"{"error":{"message":"out of order"}}"#), "50"),
        (Script::new().reset(), "50"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("failing-{number}");
        scene.admin().post(PROVIDERS, &crate::scene::provider(&failing, &id, "m")).await;
        failing.push(script);
        let before = failing.requests().len();
        let health = check(&scene.node, &id, json!({})).await;
        assert_eq!(health["status"], "unhealthy", "{health}");
        let model = only(&health);
        assert_eq!((&model["status"], &model["response_time_ms"]), (&json!("unhealthy"), &Value::Null), "{health}");
        let error = model["error"].as_str().unwrap();
        assert!(error.contains(words), "{words}: {health}");
        assert!(!health.to_string().contains(KEY), "{health}");
        println!("{words}: {error}");
        assert_eq!(failing.requests().len() - before, 1, "nothing is tried twice");
        // It leaves no trace: calls go there as before.
        assert_eq!(scene.verdict("m").await, good(), "{words}");
        scene.admin().delete(&one(&id)).await;
    }
    // Some of it.
    let mut fields = crate::scene::provider(&failing, "half", "m");
    fields["model_mapping"] = json!(["m", "n"]);
    scene.admin().post(PROVIDERS, &fields).await;
    failing.otherwise(|request| Script::json(if body(request)["model"] == "m" { 200 } else { 500 }, ANSWER));
    let health = check(&scene.node, "half", json!({})).await;
    assert_eq!(health["status"], "degraded", "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_says_nothing_is_given_up() {
    let scene = scene().await;
    scene.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
    scene.site.upstream.push(Script::new().stall());
    let began = now();
    let health = check(&scene.node, "made", json!({ "timeout_secs": 1 })).await;
    let took = began.elapsed();
    assert_eq!(health["status"], "unhealthy", "{health}");
    println!("given up after {took:?}: {}", only(&health)["error"]);
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
    scene.site.upstream.connection_closed(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_at_once() {
    let scene = scene().await;
    let failing = upstream().await;
    failing.otherwise(|_| Script::json(500, "{}"));
    scene.admin().post(PROVIDERS, &scene.provider("good", "m")).await;
    scene.admin().post(PROVIDERS, &crate::scene::provider(&failing, "bad", "m")).await;
    scene.admin().post(PROVIDERS, &scene.provider("off", "m")).await;
    scene.admin().put(&one("off"), &json!({ "is_enabled": false })).await;
    let ask = async |fields: Value| scene.admin().send("POST", "/admin/v1/health/check", fields.to_string()).await;
    let statuses = |health: &Value| -> Vec<(String, String)> {
        let providers = health["providers"].as_array().unwrap().iter();
        let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
        providers.map(|it| (text(it, "provider_id"), text(it, "status"))).collect()
    };
    let pair = |id: &str, status: &str| (id.to_owned(), status.to_owned());
    let health = ask(json!({})).await.json();
    let mut all = statuses(&health);
    all.sort();
    assert_eq!(health["status"], "degraded", "{health}");
    assert_eq!(all, [pair("bad", "unhealthy"), pair("filed", "healthy"), pair("good", "healthy")]);
    let health = ask(json!({ "provider_ids": ["bad", "good"], "models": ["m"] })).await.json();
    assert_eq!(statuses(&health), [pair("bad", "unhealthy"), pair("good", "healthy")], "as they were asked for");

    for (fields, expected) in [
        (json!({ "provider_ids": ["good", "nobody"] }), bad(404, "provider_not_found")),
        (json!({ "provider_ids": ["off"] }), bad(409, "provider_disabled")),
        (json!({ "provider_ids": [] }), bad(422, "invalid_value")),
        (json!({ "timeout_secs": 0 }), bad(422, "invalid_value")),
        (json!({ "max_concurrent": 0 }), bad(422, "invalid_value")),
        (json!({ "max_concurrent": 1000 }), bad(422, "invalid_value")),
        (json!({ "max_concurrent": "2" }), bad(422, "invalid_value")),
        (json!({ "modles": ["m"] }), bad(422, "unknown_field")),
    ] {
        let before = scene.site.upstream.requests().len();
        let answer = ask(fields.clone()).await;
        assert_eq!(verdict(&answer), expected, "{fields}: {}", answer.text());
        assert_eq!(scene.site.upstream.requests().len(), before, "{fields}: nothing is sent");
    }
    let answer = scene.admin().send("POST", &format!("{}/health", one("nobody")), "").await;
    assert_eq!(verdict(&answer), bad(404, "provider_not_found"));
}

/// Each request is held until the test lets it go, and none comes before one of those before has gone.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_asked_for_are_under_way() {
    const MODELS: usize = 20;
    let scene = scene().await;
    for limit in [1, 3, 16] {
        let crowded = FakeUpstream::start([]).await.unwrap();
        let gates: Vec<_> = (0..MODELS).map(|_| Gate::new()).collect();
        for gate in &gates {
            crowded.push(Script::new().wait(gate).answer(200, "application/json", ANSWER));
        }
        let names: Vec<_> = (0..MODELS).map(|number| format!("m-{number}")).collect();
        let id = format!("crowded-{limit}");
        let fields = json!({ "id": id, "api_base": crowded.api_base(), "model_mapping": names });
        scene.admin().post(PROVIDERS, &fields).await;
        let (admin, path) = (scene.admin(), format!("{}/health", one(&id)));
        let asked = json!({ "max_concurrent": limit }).to_string();
        let checking = tokio::spawn(async move { admin.send("POST", &path, asked).await });
        for (gone, gate) in gates.iter().enumerate() {
            let present = MODELS.min(gone + limit);
            crowded.request(present - 1).await;
            assert_eq!(crowded.requests().len(), present, "{limit} at a time, {gone} gone");
            gate.open();
        }
        let health = checking.await.unwrap().json();
        assert_eq!((&health["status"], crowded.requests().len()), (&json!("healthy"), MODELS), "{health}");
    }
}
