//! What is refused, and that nothing is stored then.

use gateway_testing::Answer;
use gateway_tests::entries::{MODELS, PROVIDERS, problems};
use gateway_tests::site::{bad, good, verdict};
use gateway_tests::stage::authorized;
use serde_json::{Value, json};

use crate::scene::{FILE, KEY, Scene, one, one_model};

/// The models that callers see.
pub(crate) async fn listed_models(scene: &Scene) -> Vec<String> {
    let answer = scene.node.send(authorized("GET", "/v1/models", "")).await.json();
    answer["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

async fn send(scene: &Scene, method: &str, path: &str, fields: &Value) -> Answer {
    let body = if fields.is_null() { String::new() } else { fields.to_string() };
    scene.admin().send(method, path, body).await
}

/// Everything that a refusal must leave as it is.
async fn state(scene: &Scene) -> (Vec<Value>, Vec<Value>, usize, Value, String) {
    let admin = scene.admin();
    let version = admin.get("/admin/v1/config/version").await;
    let rows = "SELECT (SELECT COUNT(*) FROM providers) || ' ' || (SELECT COUNT(*) FROM models)";
    let rows = scene.database.text(rows).await;
    (admin.entries(PROVIDERS).await, admin.entries(MODELS).await, admin.audit().await.len(), version, rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_taken_and_entries_that_are_not_there() {
    for scene in Scene::each().await {
        scene.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
        scene.admin().post(MODELS, &json!({ "id": "made-model", "targets": [{ "provider": "made" }] })).await;
        let before = state(&scene).await;
        let model = |id: &str| json!({ "id": id, "targets": [{ "provider": "made" }] });
        let (weight, retries) = (json!({ "weight": 2 }), json!({ "max_retries": 2 }));
        for (method, path, fields, expected) in [
            ("POST", PROVIDERS.to_owned(), scene.provider("made", "m"), bad(409, "id_taken")),
            ("POST", PROVIDERS.to_owned(), scene.provider("filed", "m"), bad(409, "id_taken")),
            ("PUT", one("filed"), weight.clone(), bad(409, "read_only")),
            ("PATCH", one("filed"), weight.clone(), bad(409, "read_only")),
            ("DELETE", one("filed"), Value::Null, bad(409, "read_only")),
            ("GET", one("nobody"), Value::Null, bad(404, "provider_not_found")),
            ("PUT", one("nobody"), weight.clone(), bad(404, "provider_not_found")),
            ("DELETE", one("nobody"), Value::Null, bad(404, "provider_not_found")),
            ("PUT", one("made"), json!({ "id": "other" }), bad(422, "invalid_configuration")),
            ("POST", MODELS.to_owned(), model("made-model"), bad(409, "id_taken")),
            ("POST", MODELS.to_owned(), model("filed-model"), bad(409, "id_taken")),
            ("PUT", one_model("filed-model"), retries.clone(), bad(409, "read_only")),
            ("DELETE", one_model("filed-model"), Value::Null, bad(409, "read_only")),
            ("PUT", one_model("nobody"), retries.clone(), bad(404, "model_not_found")),
            ("DELETE", one_model("nobody"), Value::Null, bad(404, "model_not_found")),
        ] {
            let answer = send(&scene, method, &path, &fields).await;
            assert_eq!(verdict(&answer), expected, "{method} {path}: {}", answer.text());
        }
        assert_eq!(state(&scene).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_cannot_be_taken_away() {
    for scene in Scene::each().await {
        for id in ["of-file", "of-store"] {
            scene.admin().post(PROVIDERS, &scene.provider(id, id)).await;
        }
        scene.admin().post(MODELS, &json!({ "id": "rests", "targets": [{ "provider": "of-store" }] })).await;
        let models = "models:\n  file-rests: { targets: [ { provider: of-file } ] }\n  filed-model:";
        scene.site.folder.write(
            "config.yaml",
            FILE.replace("models: { filed-model:", models).replace("filed-1 } ] } }", "filed-1 } ] }"),
        );
        let answer = scene.admin().send("POST", "/admin/v1/config/reload", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        scene.received("file-rests").await;
        let before = state(&scene).await;
        for (id, by) in [("of-store", "rests"), ("of-file", "file-rests")] {
            let answer = scene.admin().send("DELETE", &one(id), "").await;
            assert_eq!(verdict(&answer), bad(409, "in_use"), "{id}: {}", answer.text());
            let text = answer.json()["error"].to_string();
            assert!(text.contains(by), "{id}: {text}");
        }
        assert_eq!(state(&scene).await, before);
        for model in ["file-rests", "rests"] {
            assert_eq!(scene.verdict(model).await, good(), "{model}");
        }
        // Switched off it may be, and what rests on it says so.
        scene.admin().put(&one("of-store"), &json!({ "is_enabled": false })).await;
        assert_ne!(scene.verdict("rests").await, good());
        scene.admin().delete(&one_model("rests")).await;
        scene.admin().delete(&one("of-store")).await;
        // A start finds all of it again.
        let Scene { site, node, database } = scene;
        node.process.stop();
        let scene = Scene { node: site.start(), site, database };
        scene.received("file-rests").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_is_told_at_once() {
    for scene in Scene::each().await {
        scene.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
        let before = state(&scene).await;
        let fields = json!({
            "id": "wrong", "provider_type": "opnai", "api_base": "not a URL", "weight": 0, "max_in_flight": 0,
            "headers": { "x y": "z" }, "timeouts": { "connect": 3, "frist_token": "2s" }, "wieght": 3,
        });
        let expected =
            ["api_base", "headers", "max_in_flight", "provider_type", "timeouts.connect", "weight", "wieght"];
        for (method, path) in [("POST", PROVIDERS.to_owned()), ("PUT", one("made"))] {
            let mut fields = fields.clone();
            if method == "PUT" {
                fields["id"].take();
            }
            let answer = send(&scene, method, &path, &fields).await;
            assert_eq!(verdict(&answer), bad(422, "invalid_configuration"), "{method}: {}", answer.text());
            let told = problems(&answer);
            for param in expected {
                let is_it = |told: &str| told == param || told.starts_with(&format!("{param}."));
                assert!(told.iter().any(|(told, _)| is_it(told)), "{method}: nothing of {param} in {told:?}");
            }
            assert!(told.iter().any(|(_, message)| message.contains("`openai`")), "a suggestion: {told:?}");
        }
        for (fields, param) in [
            (json!({ "id": "x", "api_key": KEY, "api_keys": [KEY] }), "api_key"),
            (json!({ "api_base": "http://127.0.0.1:9/v1" }), "id"),
            (json!({ "id": "a/b", "api_base": "http://127.0.0.1:9/v1" }), "id"),
            (json!({ "id": "x", "api_base": "http://127.0.0.1:9/v1", "api_key": "two\nlines-and-long" }), "api_key"),
            (json!({ "id": "x", "api_base": "http://127.0.0.1:9/v1", "weight": 2000 }), "weight"),
        ] {
            let answer = send(&scene, "POST", PROVIDERS, &fields).await;
            assert_eq!(verdict(&answer), bad(422, "invalid_configuration"), "{fields}: {}", answer.text());
            let told = problems(&answer);
            assert!(told.iter().any(|(told, _)| told.starts_with(param)), "{fields}: {told:?}");
            assert!(!answer.text().contains(KEY) && !answer.text().contains("lines-and-long"), "{}", answer.text());
        }
        for fields in [
            json!({ "id": "x", "targets": [{ "provider": "mdae" }] }),
            json!({ "id": "x", "targets": [{ "provider": "made" }], "endpoint": "http://127.0.0.1:9/v1" }),
            json!({ "id": "x", "targets": [{ "provider": "made" }], "balance": "wieghted", "max_retries": 900 }),
            json!({ "id": "x", "fallback_models": ["x"] }),
        ] {
            let answer = send(&scene, "POST", MODELS, &fields).await;
            assert_eq!(verdict(&answer), bad(422, "invalid_configuration"), "{fields}: {}", answer.text());
            assert!(!problems(&answer).is_empty(), "{fields}: {}", answer.text());
        }
        assert_eq!(state(&scene).await, before);
        assert_eq!(scene.verdict("m").await, good());
    }
}

/// With `store.url: none` there is nothing to change.
#[tokio::test]
async fn without_a_store_entries_can_be_looked_at() {
    let site = gateway_tests::site::Site::of(FILE).await.with("DB_URL", "none");
    let node = site.start();
    assert_eq!(node.admin().entries(PROVIDERS).await.len(), 1);
    let answer = node.admin().send("POST", PROVIDERS, r#"{"id":"x","api_base":"http://127.0.0.1:9/v1"}"#).await;
    assert_eq!(verdict(&answer), bad(409, "no_store"), "{}", answer.text());
    let answer = node.admin().send("PUT", &one("filed"), r#"{"weight":2}"#).await;
    assert_eq!(verdict(&answer), bad(409, "read_only"), "{}", answer.text());
}
