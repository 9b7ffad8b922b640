//! Models in the store.

use gateway_tests::entries::{MODELS, PROVIDERS};
use serde_json::{Value, json};

use crate::scene::{KEY, Scene, body, one_model, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn every_field_comes_back() {
    for scene in Scene::each().await {
        for id in ["one", "two"] {
            scene.admin().post(PROVIDERS, &scene.provider(id, "m")).await;
        }
        let fields = json!({
            "id": "named/all",
            "targets": [
                { "provider": "two", "model": "m-2", "weight": 3, "priority": 2 },
                { "provider": "filed", "model": "m-1", "weight": 1, "priority": 1 },
            ],
            "balance": "priority",
            "max_retries": 3,
            "fallback_models": ["filed-model"],
            "hedge": { "after": "p95", "max": 2 },
            "affinity": "session",
            "timeouts": { "connect": null, "headers": null, "first_token": "4s", "idle": null, "total": null },
            "rewrite_response": false,
        });
        let mut sent = fields.clone();
        sent["timeouts"] = json!({ "first_token": "4s" });
        let made = scene.admin().post(MODELS, &sent).await;
        let path = one_model("named%2Fall");
        assert_eq!(scene.admin().get(&path).await, made);
        let mut expected = fields;
        for (name, value) in [
            ("endpoint", Value::Null),
            ("source", json!("store")),
            ("created_at", made["created_at"].clone()),
            ("updated_at", made["updated_at"].clone()),
        ] {
            expected[name] = value;
        }
        assert_eq!(made, expected);
        assert_eq!(body(&scene.received("named/all").await)["model"], "m-1");

        for (field, value) in [
            ("balance", json!("weighted")),
            ("max_retries", json!(0)),
            ("fallback_models", json!([])),
            ("hedge", Value::Null),
            ("affinity", Value::Null),
            ("rewrite_response", json!(true)),
            ("targets", json!([{ "provider": "one", "model": "m-3", "weight": 1, "priority": 1 }])),
        ] {
            let changed = scene.admin().put(&path, &json!({ field: value })).await;
            expected[field] = value;
            expected["updated_at"] = changed["updated_at"].clone();
            assert_eq!(changed, expected, "{field}");
        }
        assert_eq!(body(&scene.received("named/all").await)["model"], "m-3");
        scene.admin().delete(&path).await;
        assert_eq!(scene.verdict("named/all").await.0, 404);
    }
}

/// A model with an address of its own, and a key that nobody sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_an_endpoint_is_served_there() {
    for scene in Scene::each().await {
        let other = upstream().await;
        let endpoint = format!("http://{}/v1/chat/completions", scene.site.upstream.address());
        let fields = json!({ "id": "llama", "endpoint": endpoint, "api_key": KEY, "model": "llama-70b" });
        let made = scene.admin().post(MODELS, &fields).await;
        assert_eq!(
            (&made["endpoint"], &made["model"], &made["targets"]),
            (&json!(endpoint), &json!("llama-70b"), &json!([]))
        );
        assert!(!made.to_string().contains(KEY), "{made}");
        let request = scene.received("llama").await;
        assert_eq!(body(&request)["model"], "llama-70b");
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));

        let endpoint = format!("http://{}/other/path?api-version=7", other.address());
        let changed = scene.admin().put(&one_model("llama"), &json!({ "endpoint": endpoint })).await;
        assert!(!changed.to_string().contains("api-version"), "what other programs put keys in: {changed}");
        let request = crate::scene::received(&scene.node, &other, "llama").await;
        assert_eq!(request.target(), "/other/path?api-version=7");
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_the_file_are_listed_as_such() {
    for scene in Scene::each().await {
        scene.admin().post(PROVIDERS, &scene.provider("made", "m")).await;
        scene.admin().post(MODELS, &json!({ "id": "made-model", "targets": [{ "provider": "made" }] })).await;
        for (list, expected) in [
            (PROVIDERS, [("filed", "file"), ("made", "store")]),
            (MODELS, [("filed-model", "file"), ("made-model", "store")]),
        ] {
            let entries = scene.admin().entries(list).await;
            let found: Vec<_> =
                entries.iter().map(|it| (it["id"].as_str().unwrap(), it["source"].as_str().unwrap())).collect();
            assert_eq!(found, expected);
            for (entry, (id, _)) in entries.iter().zip(expected) {
                assert_eq!(scene.admin().get(&format!("{list}/{id}")).await, *entry);
                assert_eq!(entry["created_at"].is_null(), entry["source"] == "file", "{entry}");
            }
        }
        scene.received("filed-model").await;
        scene.received("made-model").await;
        let models = crate::refusals::listed_models(&scene).await;
        assert!(["filed-model", "made-model", "m"].iter().all(|it| models.contains(&(*it).to_owned())), "{models:?}");
    }
}
