//! The `health_check` of a provider: how it is written, shown, changed and exported.

use gateway_admin::{Export, Import};
use gateway_keystore::{Actor, Changes, SettingsKind, SettingsRecord, StoredSettings};
use gateway_secret::Secret;
use serde_json::{Value, json};

use crate::entries::PROVIDERS;
use crate::scene::Scene;

const P: &str = "/admin/v1/providers/p";

fn on(model: &str, interval: &str, timeout: &str) -> Value {
    json!({ "model": model, "interval": interval, "timeout": timeout })
}

/// A gateway that checks all its providers, or says nothing of that.
fn scene(checks_all: bool) -> Scene {
    let all = if checks_all { "health_check: { interval: 1m, timeout: 1500ms, model: b }\n" } else { "" };
    Scene::with_file(all)
}

#[tokio::test]
async fn what_is_written_is_shown_as_it_is_in_force() {
    let (on_all, off) = (on("b", "60s", "1500ms"), json!(false));
    for (checks_all, given, expected) in [
        (false, Value::Null, off.clone()),
        (false, json!(true), off.clone()),
        (false, json!({}), off.clone()),
        (false, json!({ "model": "a" }), off.clone()),
        (false, json!({ "interval": "90s" }), on("a", "90s", "10s")),
        (false, json!({ "interval": "24h", "timeout": "5m", "model": "c-7" }), on("c-7", "86400s", "300s")),
        (true, Value::Null, on_all.clone()),
        (true, json!(true), on_all.clone()),
        (true, json!({}), on_all),
        (true, json!(false), off),
        (true, json!({ "model": "a", "timeout": "100ms" }), on("a", "60s", "100ms")),
        (true, json!({ "interval": "1 s" }), on("b", "1s", "1500ms")),
    ] {
        let scene = scene(checks_all);
        let body = json!({ "id": "p", "model_mapping": ["a", "b", "c-*"], "health_check": given });
        let made = scene.call("POST", PROVIDERS, &body.to_string()).await;
        assert_eq!((made.status.as_u16(), &made.json()["health_check"]), (201, &expected), "{given}: {}", made.text);
        assert_eq!(scene.get(P).await.json(), made.json());
        // What is shown can be sent back, and means the same.
        let again = scene.call("PATCH", P, &json!({ "health_check": expected }).to_string()).await;
        assert_eq!((again.status.as_u16(), &again.json()["health_check"]), (200, &expected), "{given}: {}", again.text);
    }
}

#[tokio::test]
async fn a_change_of_something_else_leaves_it_as_it_was_written() {
    for method in ["PUT", "PATCH"] {
        let scene = scene(false);
        let written = r#"{"model":"a","interval":"90s"}"#;
        let body = format!(r#"{{"id":"p","model_mapping":["a","b"],"health_check":{written}}}"#);
        assert_eq!(scene.call("POST", PROVIDERS, &body).await.status.as_u16(), 201);
        for change in [r#"{"weight":2}"#, r#"{"is_enabled":false}"#, r#"{"is_enabled":true}"#, r#"{"timeouts":null}"#] {
            let changed = scene.call(method, P, change).await;
            assert_eq!(changed.json()["health_check"], on("a", "90s", "10s"), "{change}: {}", changed.text);
        }
        let stored = scene.store.settings(SettingsKind::Provider, "p").unwrap().settings;
        assert!(stored.contains(&format!(r#""health_check":{written}"#)), "{stored}");
        // It is changed as a whole, as timeouts are.
        for (change, expected) in [
            (r#"{"health_check":{"interval":"2m"}}"#, on("a", "120s", "10s")),
            (r#"{"health_check":{"interval":"2m","model":"b"}}"#, on("b", "120s", "10s")),
            (r#"{"health_check":null}"#, json!(false)),
        ] {
            let changed = scene.call(method, P, change).await;
            assert_eq!(changed.json()["health_check"], expected, "{change}: {}", changed.text);
        }
        let stored = scene.store.settings(SettingsKind::Provider, "p").unwrap().settings;
        assert!(!stored.contains("health_check"), "{stored}");
    }
}

#[tokio::test]
async fn what_it_needs_cannot_be_taken_away() {
    let scene = scene(false);
    let body = json!({ "id": "p", "model_mapping": ["a"], "health_check": { "interval": "1m", "model": "a" } });
    assert_eq!(scene.call("POST", PROVIDERS, &body.to_string()).await.status.as_u16(), 201);
    let refused = scene.call("PATCH", P, r#"{"model_mapping": ["b"]}"#).await;
    assert_eq!(refused.error(), (422, "invalid_configuration".to_owned(), Some("health_check.model".to_owned())));
    assert_eq!(scene.get(P).await.json()["model_mapping"], json!({ "a": "*" }));
}

#[tokio::test]
async fn what_has_another_shape_is_told_which_it_has_to_have() {
    let scene = scene(true);
    for given in [json!("off"), json!(30), json!({ "interval": null }), json!({ "interval_secs": 30 })] {
        let refused = scene.call("POST", PROVIDERS, &json!({ "id": "p", "health_check": given }).to_string()).await;
        let expected = "expected true, false, or some of `interval`, `timeout` and `model`";
        assert!(refused.text.contains(expected), "{given}: {}", refused.text);
        assert!(!refused.text.contains("untagged") && !refused.text.contains("HealthCheck"), "{}", refused.text);
    }
}

#[tokio::test]
async fn the_audit_log_has_it() {
    let scene = scene(false);
    let body = json!({ "id": "p", "model_mapping": ["a"], "health_check": { "interval": "1m" } });
    assert_eq!(scene.call("POST", PROVIDERS, &body.to_string()).await.status.as_u16(), 201);
    assert_eq!(scene.call("PATCH", P, r#"{"health_check": false}"#).await.status.as_u16(), 200);
    let log = scene.get("/admin/v1/audit").await.json();
    let noted = |place: &str| log["data"][0][place]["health_check"].clone();
    assert_eq!((noted("before"), noted("after")), (json!({ "interval": "1m" }), json!(false)));
}

#[tokio::test]
async fn it_goes_out_of_the_store_and_in_again_unchanged() {
    for written in [r#"{"interval":"1m","timeout":"2s","model":"a"}"#, "{}", "true", "false"] {
        let scene = scene(false);
        let body = format!(r#"{{"id":"p","model_mapping":["a"],"health_check":{written}}}"#);
        assert_eq!(scene.call("POST", PROVIDERS, &body).await.status.as_u16(), 201);
        let record = scene.store.settings(SettingsKind::Provider, "p").unwrap();
        let stored = changes(vec![record.clone()]);
        let exported = serde_json::to_value(Export::new(&stored, false)).unwrap();
        let mut provider = exported["providers"][0].clone();
        assert_eq!(provider["health_check"], serde_json::from_str::<Value>(written).unwrap());
        provider.as_object_mut().unwrap().remove("name");
        let mut import = Import::default();
        import.entry(SettingsKind::Provider, "p", &Secret::from(provider.to_string()), record.created_at).unwrap();
        let plan = import.plan(&Changes::default(), Actor::Cli, record.created_at).unwrap();
        assert_eq!(plan.steps.len(), 1, "{written}");
        let noted = plan.changes[0].note.after.as_deref().unwrap();
        assert!(noted.contains(&format!(r#""health_check":{}"#, provider["health_check"])), "{noted}");
    }
}

fn changes(records: Vec<SettingsRecord>) -> Changes {
    Changes { settings: Some(StoredSettings { records, unreadable: Vec::new() }), ..Changes::default() }
}
