//! Providers and models: made, looked at, changed, taken away.

use std::sync::atomic::Ordering;

use gateway_keystore::SettingsKind;
use serde_json::{Value, json};

use crate::scene::Scene;

pub(crate) const PROVIDERS: &str = "/admin/v1/providers";
pub(crate) const MODELS: &str = "/admin/v1/models";
const P: &str = "/admin/v1/providers/p";
const SECRET: &str = "sk-0123456789abcdef0123456789";
const FILE: &str = "providers: [{ name: filed }, { name: idle, enabled: false }]\nmodels: { m: {} }\n";

async fn scene() -> Scene {
    let scene = Scene::with_file(FILE);
    let body = json!({
        "id": "p", "provider_type": "openai", "api_base": "https://example.com/v1", "api_key": SECRET, "weight": 3,
        "model_mapping": { "gpt-4*": "*", "gpt-*": "small", "z": { "mapped_model": "y", "input_cost_per_1k_tokens": 0.5 } },
        "headers": { "x-team": "hush-hush" }, "timeouts": { "connect": "1500ms" },
    });
    // As text, because the order of the mapping counts.
    let body = body.to_string().replace(r#""gpt-*":"small","gpt-4*":"*""#, r#""gpt-4*":"*","gpt-*":"small""#);
    let made = scene.call("POST", PROVIDERS, &body).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text);
    scene
}

#[tokio::test]
async fn a_new_provider_is_in_force_at_once_and_its_secrets_are_not_told() {
    let scene = scene().await;
    let shown = scene.get(P).await;
    let expected = json!({
        "id": "p", "provider_type": "openai", "api_base": "https://example.com/v1", "api_key_preview": "sk-…789",
        "weight": 3, "is_enabled": true,
        "model_mapping": {
            "gpt-4*": "*", "gpt-*": "small",
            "z": { "mapped_model": "y", "input_cost_per_million_tokens": 500.0, "output_cost_per_million_tokens": 0.0 },
        },
        "headers": { "x-team": "***" }, "forward_headers": [], "max_in_flight": null, "verify_ssl": true,
        "timeouts": { "connect": "1500ms", "headers": "60s", "first_token": "60s", "idle": "60s", "total": "600s" },
        "health_check": false, "source": "store", "created_at": "2030-01-01T00:00:00.123456Z", "updated_at": "2030-01-01T00:00:00.123456Z",
    });
    assert_eq!((shown.status.as_u16(), shown.json()), (200, expected));
    assert!(shown.text.contains(r#""gpt-4*":"*","gpt-*":"small""#), "the order counts: {}", shown.text);
    let record = scene.store.settings(SettingsKind::Provider, "p").unwrap();
    assert!(!record.settings.contains(SECRET) && !record.settings.contains("hush-hush"));
    assert!(record.secrets.unwrap().expose().contains(SECRET));
    let log = scene.get("/admin/v1/audit").await;
    assert!(!log.text.contains(SECRET) && !log.text.contains("hush-hush"));
    let entry = &log.json()["data"][0];
    assert_eq!(
        (&entry["action"], &entry["object"], &entry["before"]),
        (&json!("provider.create"), &json!("p"), &Value::Null)
    );
    assert_eq!(entry["after"]["api_key_preview"], "sk-…789");
}

#[tokio::test]
async fn where_a_new_entry_is_stands_in_the_answer() {
    let scene = Scene::with_file(FILE);
    for (path, id, place) in
        [(PROVIDERS, "a b", "/admin/v1/providers/a%20b"), (MODELS, "a/b", "/admin/v1/models/a%2Fb")]
    {
        let body = match path {
            MODELS => json!({ "id": id, "targets": [{ "provider": "filed" }] }),
            _ => json!({ "id": id }),
        };
        let made = scene.call("POST", path, &body.to_string()).await;
        assert_eq!((made.status.as_u16(), &made.headers["location"]), (201, &place.parse().unwrap()), "{}", made.text);
        assert_eq!(scene.get(place).await.json(), made.json());
    }
}

#[tokio::test]
async fn what_is_given_changes_and_the_rest_stays() {
    for (body, field, value) in [
        (r#"{"weight": 5}"#, "weight", json!(5)),
        (r#"{"weight": null}"#, "weight", json!(1)),
        (r#"{"is_enabled": false}"#, "is_enabled", json!(false)),
        (r#"{"model_mapping": {"a": "b"}}"#, "model_mapping", json!({ "a": "b" })),
        (r#"{"model_mapping": null}"#, "model_mapping", json!({})),
        (r#"{"headers": {"x-other": "1"}}"#, "headers", json!({ "x-other": "***" })),
        (r#"{"api_key": null}"#, "api_key_preview", Value::Null),
        (r#"{"provider_type": "simulator", "id": "p"}"#, "provider_type", json!("openai")),
        (r#"{"verify_ssl": false}"#, "verify_ssl", json!(false)),
        (r#"{"max_in_flight": 7}"#, "max_in_flight", json!(7)),
        (r#"{"forward_headers": ["x-trace"]}"#, "forward_headers", json!(["x-trace"])),
    ] {
        for method in ["PUT", "PATCH"] {
            let scene = scene().await;
            let mut expected = scene.get(P).await.json();
            scene.clock.second.fetch_add(60, Ordering::Relaxed);
            let answer = scene.call(method, P, body).await;
            expected[field] = value.clone();
            expected["updated_at"] = json!("2030-01-01T00:01:00.123456Z");
            assert_eq!((answer.status.as_u16(), answer.json()), (200, expected), "{body}");
        }
    }
}

#[tokio::test]
async fn one_key_and_several_take_each_others_place() {
    let scene = scene().await;
    let answer = scene.call("PATCH", P, &json!({ "api_keys": [SECRET, "sk-other"] }).to_string()).await;
    assert_eq!(answer.json()["api_key_previews"], json!(["sk-…789", "…"]), "{}", answer.text);
    let answer = scene.call("PATCH", P, r#"{"api_key": "sk-other"}"#).await;
    assert_eq!((&answer.json()["api_key_preview"], answer.json().get("api_key_previews")), (&json!("…"), None));
}

#[tokio::test]
async fn a_change_of_nothing_is_none() {
    let scene = scene().await;
    let before = scene.get(P).await.json();
    for body in ["{}", r#"{"weight": 3, "id": "p"}"#, r#"{"max_in_flight": null}"#] {
        let answer = scene.call("PATCH", P, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, before.clone()), "{body}");
    }
    assert_eq!(scene.store.writes(), 1);
}

#[tokio::test]
async fn entries_of_the_file_are_shown_and_not_changed() {
    let scene = scene().await;
    let list = scene.get(PROVIDERS).await.json();
    let listed: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|it| (&it["id"], &it["source"], &it["is_enabled"])).collect();
    let expected = [("filed", "file", true), ("idle", "file", false), ("p", "store", true)];
    assert_eq!(listed.len(), 3);
    for (found, (id, source, is_enabled)) in listed.iter().zip(expected) {
        assert_eq!(*found, (&json!(id), &json!(source), &json!(is_enabled)));
    }
    for path in ["/admin/v1/providers/filed", "/admin/v1/providers/idle", "/admin/v1/models/m"] {
        for method in ["PUT", "PATCH", "DELETE"] {
            assert_eq!(
                scene.call(method, path, "{}").await.error(),
                (409, "read_only".to_owned(), None),
                "{method} {path}"
            );
        }
    }
    let taken = scene.call("POST", PROVIDERS, r#"{"id": "filed"}"#).await;
    assert_eq!(taken.error(), (409, "id_taken".to_owned(), Some("id".to_owned())));
    assert!(taken.text.contains("the configuration file has"), "{}", taken.text);
    let taken = scene.call("POST", PROVIDERS, r#"{"id": "p"}"#).await;
    assert_eq!(taken.error(), (409, "id_taken".to_owned(), Some("id".to_owned())));
    assert!(taken.text.contains("the store has"), "{}", taken.text);
    assert_eq!(scene.store.writes(), 1);
}

#[tokio::test]
async fn what_is_gone_is_gone() {
    let scene = scene().await;
    assert_eq!(scene.call("DELETE", P, "").await.status.as_u16(), 204);
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(scene.call(method, P, "{}").await.error(), (404, "provider_not_found".to_owned(), None), "{method}");
    }
    assert_eq!(scene.get("/admin/v1/models/p").await.error(), (404, "model_not_found".to_owned(), None));
    let note = scene.store.last_note();
    assert_eq!((&*note.action, note.after), ("provider.delete", None));
    assert!(note.before.unwrap().contains(r#""provider_type":"openai""#));
}

#[tokio::test]
async fn what_something_else_needs_stays() {
    let scene = scene().await;
    let body = json!({ "id": "n", "targets": [{ "provider": "p", "model": "x" }] }).to_string();
    let made = scene.call("POST", MODELS, &body).await;
    assert_eq!((made.status.as_u16(), &made.json()["targets"][0]["provider"]), (201, &json!("p")), "{}", made.text);
    let refused = scene.call("DELETE", P, "").await;
    assert_eq!(refused.error(), (409, "in_use".to_owned(), None), "{}", refused.text);
    assert!(refused.json()["error"]["errors"][0]["message"].as_str().unwrap().contains("`n`"), "{}", refused.text);
    assert_eq!(scene.call("DELETE", "/admin/v1/models/n", "").await.status.as_u16(), 204);
    assert_eq!(scene.call("DELETE", P, "").await.status.as_u16(), 204);
}

#[tokio::test]
async fn a_model_is_shown_as_it_was_written() {
    let scene = scene().await;
    let body = json!({
        "id": "org/n", "endpoint": "https://example.com/v1/chat/completions?key=hush", "api_key": SECRET, "model": "upstream",
        "max_retries": 2, "fallback_models": ["z"], "hedge": { "after": "p90" }, "affinity": "session",
        "timeouts": { "total": "5m" }, "rewrite_response": false,
    });
    let made = scene.call("POST", MODELS, &body.to_string()).await;
    let expected = json!({
        "id": "org/n", "targets": [], "endpoint": "https://example.com/v1/chat/completions?***", "model": "upstream",
        "api_key_preview": "sk-…789", "balance": "weighted", "max_retries": 2, "fallback_models": ["z"],
        "hedge": { "after": "p90", "max": 1 }, "affinity": "session",
        "timeouts": { "connect": null, "headers": null, "first_token": null, "idle": null, "total": "300s" },
        "rewrite_response": false, "source": "store",
        "created_at": "2030-01-01T00:00:00.123456Z", "updated_at": "2030-01-01T00:00:00.123456Z",
    });
    assert_eq!((made.status.as_u16(), made.json()), (201, expected), "{}", made.text);
    // The provider that is written inline is no provider of its own.
    assert_eq!(scene.get(PROVIDERS).await.json()["data"].as_array().unwrap().len(), 3);
}
