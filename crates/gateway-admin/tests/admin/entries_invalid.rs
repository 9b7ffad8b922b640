//! Providers and models that cannot be, stores that do not answer, and rows that were written by hand.

use std::sync::atomic::Ordering;

use gateway_keystore::SettingsKind;
use gateway_secret::Secret;
use serde_json::{Value, json};

use crate::entries::{MODELS, PROVIDERS};
use crate::scene::{Answer, Scene};

const P: &str = "/admin/v1/providers/p";

/// The fields that a refusal names, in their order.
fn params(answer: &Answer) -> Vec<String> {
    let errors = answer.json()["error"]["errors"].as_array().cloned().unwrap_or_default();
    let mut params: Vec<_> =
        errors.iter().map(|error| error["param"].as_str().unwrap_or_default().to_owned()).collect();
    params.sort();
    params
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let scene = Scene::new();
    for (path, body, expected) in [
        (
            PROVIDERS,
            r#"{"id": "a", "weight": 0, "provider_type": "opnai", "timeouts": {"conect": "1s"}}"#,
            vec!["provider_type", "timeouts.conect", "weight"],
        ),
        (
            PROVIDERS,
            r#"{"id": "a", "wieght": 1, "enabled": true, "type": "openai"}"#,
            vec!["enabled", "type", "wieght"],
        ),
        (PROVIDERS, r#"{"id": "a", "weight": "2"}"#, vec!["weight"]),
        (PROVIDERS, r#"{"id": "a", "is_enabled": "yes", "weight": 1001}"#, vec!["is_enabled", "weight"]),
        (PROVIDERS, r#"{"weight": 0, "timeouts": {"conect": "1s"}}"#, vec!["id", "timeouts.conect", "weight"]),
        (PROVIDERS, r#"{"id": null}"#, vec!["id"]),
        (PROVIDERS, r#"{"id": 7}"#, vec!["id"]),
        (PROVIDERS, r#"{"id": ""}"#, vec!["id"]),
        (PROVIDERS, r#"{"id": "a/b", "weight": 0}"#, vec!["id", "weight"]),
        (PROVIDERS, r#"{"id": ".."}"#, vec!["id"]),
        (PROVIDERS, r#"{"id": " a"}"#, vec!["id"]),
        (PROVIDERS, r#"{"id": "a", "headers": {"x": "***"}}"#, vec!["headers"]),
        (PROVIDERS, r#"{"id": "a", "headers": {"host": "b"}}"#, vec!["headers.host"]),
        (PROVIDERS, r#"{"id": "a", "api_base": "ftp://x"}"#, vec!["api_base"]),
        (PROVIDERS, r#"{"id": "a", "api_key": ""}"#, vec!["api_key"]),
        (
            PROVIDERS,
            r#"{"id": "a", "model_mapping": {"x": {"mapped_modl": "y"}}}"#,
            vec!["model_mapping.x.mapped_modl"],
        ),
        (PROVIDERS, r#"{"id": "a", "model_mapping": {"x": null}}"#, vec!["model_mapping.x"]),
        (PROVIDERS, r#"{"id": "a", "timeouts": {"connect": null}}"#, vec!["timeouts.connect"]),
        (
            PROVIDERS,
            r#"{"id": "a", "health_check": {"interval": "30", "modle": "x"}}"#,
            vec!["health_check.interval", "health_check.modle"],
        ),
        (
            PROVIDERS,
            r#"{"id": "a", "health_check": {"interval": "999ms", "timeout": "6m"}}"#,
            vec!["health_check.interval", "health_check.timeout"],
        ),
        (
            PROVIDERS,
            r#"{"id": "a", "health_check": {"model": "x", "interval": "1m"}, "model_mapping": ["y"]}"#,
            vec!["health_check.model"],
        ),
        (PROVIDERS, r#"{"id": "a", "health_check": {"interval": null}}"#, vec!["health_check"]),
        (PROVIDERS, r#"{"id": "a", "health_check": {"interval_secs": 30}}"#, vec!["health_check"]),
        (PROVIDERS, r#"{"id": "a", "health_check": "off"}"#, vec!["health_check"]),
        (PROVIDERS, r#"{"id": "a", "health_chek": false}"#, vec!["health_chek"]),
        (PROVIDERS, "[]", vec![""]),
        (
            MODELS,
            r#"{"id": "a*", "targets": [{"provider": "nobody"}], "max_retries": 21}"#,
            vec!["id", "max_retries", "targets[0].provider"],
        ),
        (MODELS, r#"{"id": "a", "targets": [{}]}"#, vec!["targets[0].provider"]),
        (MODELS, r#"{"id": "a", "targets": [{"provdier": "b"}]}"#, vec!["targets[0].provdier", "targets[0].provider"]),
        (MODELS, r#"{"id": "a", "endpoint": "http://x/v1", "hedge": {"max": 9}}"#, vec!["hedge.after", "hedge.max"]),
        (MODELS, r#"{"id": "a"}"#, vec![""]),
    ] {
        let answer = scene.call("POST", path, body).await;
        let (status, code, _) = answer.error();
        assert_eq!((status, code.as_str()), (422, "invalid_configuration"), "{body}: {}", answer.text);
        assert_eq!(params(&answer), expected, "{body}: {}", answer.text);
    }
    for (body, code) in [("{", "invalid_json"), ("", "invalid_json"), (r#"{"id": "a", "id": "b"}"#, "duplicate_field")]
    {
        assert_eq!(scene.call("POST", PROVIDERS, body).await.error().1, code, "{body}");
    }
    assert_eq!(scene.store.writes(), 0);
}

#[tokio::test]
async fn who_mistypes_a_field_is_told_what_it_is_called() {
    let scene = Scene::new();
    for (path, field, expected) in [
        (PROVIDERS, "wieght", "weight"),
        (PROVIDERS, "type", "provider_type"),
        (PROVIDERS, "enabled", "is_enabled"),
        (PROVIDERS, "name", "id"),
        (MODELS, "affinty", "affinity"),
    ] {
        let answer = scene.call("POST", path, &json!({ "id": "a", field: 1 }).to_string()).await;
        assert_eq!(answer.error().0, 422, "{field}");
        let errors = answer.json()["error"]["errors"].clone();
        let error = errors.as_array().unwrap().iter().find(|error| error["param"] == field).unwrap();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("did you mean `{expected}`?")), "{message}");
    }
}

#[tokio::test]
async fn a_secret_of_the_wrong_type_is_not_repeated() {
    let scene = Scene::new();
    let secret = "sk-0123456789abcdef";
    for field in ["api_keys", "headers", "api_key"] {
        for value in [json!(secret), json!([[secret]]), json!({ "x": [secret] }), json!({ "x": { secret: 1 } })] {
            if field == "api_key" && value.is_string() {
                continue;
            }
            let answer = scene.call("POST", PROVIDERS, &json!({ "id": "a", field: value }).to_string()).await;
            assert_eq!(answer.status.as_u16(), 422, "{field}: {value}");
            assert!(!answer.text.contains("0123456789"), "{field}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_name_does_not_change() {
    let scene = Scene::new();
    assert_eq!(scene.call("POST", PROVIDERS, r#"{"id": "p"}"#).await.status.as_u16(), 201);
    let answer = scene.call("PUT", P, r#"{"id": "q"}"#).await;
    assert_eq!((answer.error().0, params(&answer)), (422, vec!["id".to_owned()]));
    let answer = scene.call("PUT", P, r#"{"id": "p", "weight": 0, "x": 1}"#).await;
    assert_eq!(
        (answer.error().0, params(&answer)),
        (422, vec!["weight".to_owned(), "x".to_owned()]),
        "{}",
        answer.text
    );
    assert_eq!(scene.store.writes(), 1);
}

#[tokio::test]
async fn without_a_store_nothing_can_be_made() {
    let scene = Scene::without_store();
    for (method, path) in [("POST", PROVIDERS), ("POST", MODELS)] {
        assert_eq!(scene.call(method, path, r#"{"id": "a"}"#).await.error(), (409, "no_store".to_owned(), None));
    }
    assert_eq!(scene.call("PATCH", P, "{}").await.status.as_u16(), 404);
    assert_eq!(scene.get(PROVIDERS).await.json(), json!({ "data": [] }));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_said_not_to() {
    let scene = Scene::new();
    assert_eq!(scene.call("POST", PROVIDERS, r#"{"id": "p"}"#).await.status.as_u16(), 201);
    let writes = [("POST", PROVIDERS, r#"{"id": "a"}"#), ("PATCH", P, r#"{"weight": 2}"#), ("DELETE", P, "")];
    scene.store.is_down.store(true, Ordering::Relaxed);
    for (method, path, body) in writes {
        let answer = scene.call(method, path, body).await;
        assert_eq!(answer.error(), (503, "store_unavailable".to_owned(), None), "{method}");
        assert!(answer.headers.contains_key("retry-after") && !answer.text.contains("5432"));
    }
    // What is in force is known without it.
    assert_eq!(scene.get(P).await.status.as_u16(), 200);
    scene.store.is_down.store(false, Ordering::Relaxed);
    scene.store.is_full.store(true, Ordering::Relaxed);
    for (method, path, body) in writes {
        assert_eq!(
            scene.call(method, path, body).await.error(),
            (503, "store_not_written".to_owned(), None),
            "{method}"
        );
    }
    scene.store.is_full.store(false, Ordering::Relaxed);
    scene.node.is_blind.store(true, Ordering::Relaxed);
    let answer = scene.call("PATCH", P, r#"{"weight": 2}"#).await;
    assert_eq!(answer.error(), (503, "store_unavailable".to_owned(), None));
    assert!(answer.text.contains("is stored"), "{}", answer.text);
}

#[tokio::test]
async fn rows_that_are_left_out_are_listed_and_can_be_mended() {
    let scene = Scene::with_file("providers: [{ name: filed }]\n");
    let secret = "sk-0123456789abcdef0123456789";
    let secrets = format!(r#"{{"api_key": "{secret}"}}"#);
    scene.store.put_settings(SettingsKind::Provider, "bad", r#"{"weight": 0, "enabled": true}"#, Some(&secrets));
    scene.store.put_settings(SettingsKind::Provider, "filed", "{}", None);
    scene.store.put_settings(SettingsKind::Provider, "torn", "{}", None);
    scene.store.damage("torn");
    scene.configuration.resolve_in_force().unwrap();

    let list = scene.get(PROVIDERS).await;
    let data = list.json()["data"].as_array().unwrap().clone();
    let ids: Vec<_> = data.iter().map(|it| (it["id"].as_str().unwrap(), it["problem"].is_string())).collect();
    assert_eq!(ids, [("bad", true), ("filed", true), ("torn", true)]);
    assert_eq!((&data[1]["source"], data[1]["weight"].is_u64()), (&json!("file"), true));
    assert!(data[0]["problem"].as_str().unwrap().contains("weight"), "{}", list.text);

    let bad = scene.get("/admin/v1/providers/bad").await;
    let expected = json!({ "weight": 0, "is_enabled": true, "api_key_preview": "sk-…789" });
    assert_eq!((&bad.json()["settings"], &bad.json()["source"]), (&expected, &json!("store")));
    assert!(!bad.text.contains(secret));
    let still = scene.call("PATCH", "/admin/v1/providers/bad", r#"{"is_enabled": false}"#).await;
    assert_eq!((still.error().0, params(&still)), (422, vec!["weight".to_owned()]));
    let mended = scene.call("PATCH", "/admin/v1/providers/bad", r#"{"weight": 2}"#).await;
    assert_eq!((mended.status.as_u16(), &mended.json()["weight"]), (200, &json!(2)), "{}", mended.text);

    let torn = scene.call("PATCH", "/admin/v1/providers/torn", "{}").await;
    assert_eq!(torn.error(), (409, "unreadable".to_owned(), None));
    assert_eq!(scene.call("POST", PROVIDERS, r#"{"id": "torn"}"#).await.error().1, "id_taken");
    for id in ["torn", "filed"] {
        let removed = scene.call("DELETE", &format!("{PROVIDERS}/{id}"), "").await;
        assert_eq!(removed.status.as_u16(), 204, "{}", removed.text);
    }
    assert_eq!(scene.get("/admin/v1/providers/filed").await.json().get("problem"), None::<&Value>);
    assert_eq!(scene.call("DELETE", "/admin/v1/providers/filed", "").await.error().1, "read_only");
}

/// To delete an entry is only advised where it helps.
#[tokio::test]
async fn of_secrets_that_cannot_be_opened_it_is_told_why_the_rest_cannot_be_read() {
    const P: &str = "/admin/v1/providers/p";
    let scene = Scene::new();
    scene.store.put_settings(SettingsKind::Provider, "p", r#"{"weight": 3}"#, Some("{}"));
    scene.store.seal("p");
    for body in ["{}", r#"{"api_key": "sk-new-0123456789"}"#] {
        scene.store.is_down_for_the_rest.store(true, Ordering::Relaxed);
        let cut_off = scene.call("PATCH", P, body).await;
        assert_eq!(cut_off.error(), (503, "store_unavailable".to_owned(), None), "{body}");
        assert!(!cut_off.text.contains("elete"), "{}", cut_off.text);
        scene.store.is_down_for_the_rest.store(false, Ordering::Relaxed);
    }
    // Gone after it was found to be sealed.
    scene.store.take_settings(SettingsKind::Provider, "p");
    let gone = scene.call("PATCH", P, r#"{"api_key": "sk-new-0123456789"}"#).await;
    assert_eq!(gone.error(), (404, "provider_not_found".to_owned(), None));
    scene.store.put_settings(SettingsKind::Provider, "p", "{}", Some("{}"));
    scene.store.damage("p");
    let damaged = scene.call("PATCH", P, r#"{"api_key": "sk-new-0123456789"}"#).await;
    assert_eq!(damaged.error(), (409, "unreadable".to_owned(), None));
    assert!(damaged.text.contains("Delete it and create it anew"), "{}", damaged.text);
}

#[tokio::test]
async fn secrets_that_cannot_be_opened_are_replaced_and_the_rest_stays() {
    const P: &str = "/admin/v1/providers/p";
    let scene = Scene::new();
    let body = r#"{"id": "p", "weight": 3, "api_key": "sk-0123456789abcdef", "headers": {"x-team": "hush-hush"}}"#;
    assert_eq!(scene.call("POST", PROVIDERS, body).await.status.as_u16(), 201);
    scene.call("POST", MODELS, r#"{"id": "m", "targets": [{"provider": "p", "model": "x"}]}"#).await;
    let seal = || {
        scene.store.seal("p");
        scene.configuration.resolve_in_force().unwrap();
    };
    seal();
    let shown = scene.get(P).await.json();
    assert_eq!(shown["settings"], json!({ "weight": 3 }), "what can be read is shown");

    let writes = scene.store.writes();
    for body in ["{}", r#"{"weight": 5}"#, r#"{"headers": {"x-team": "new"}}"#] {
        let refused = scene.call("PUT", P, body).await;
        assert_eq!(refused.error(), (409, "unreadable".to_owned(), None), "{body}");
        assert!(refused.text.contains("Send `api_key`"), "{}", refused.text);
    }
    let still_wrong = scene.call("PUT", P, r#"{"api_key": "sk-new-0123456789", "weight": 0}"#).await;
    assert_eq!((still_wrong.error().0, params(&still_wrong)), (422, vec!["weight".to_owned()]));
    assert_eq!(scene.store.writes(), writes);

    let mended = scene.call("PUT", P, r#"{"api_key": "sk-new-0123456789"}"#).await.json();
    assert_eq!((&mended["weight"], &mended["headers"]), (&json!(3), &json!({})));
    let record = scene.store.settings(SettingsKind::Provider, "p").unwrap();
    assert_eq!(record.secrets.as_ref().map(Secret::expose), Some(r#"{"api_key":"sk-new-0123456789"}"#));
    let before: Value = serde_json::from_str(&scene.store.last_note().before.unwrap()).unwrap();
    let damaged = "secrets: sealed with a key that is not there";
    assert_eq!(before, json!({ "id": "p", "damaged": damaged, "weight": 3 }));

    // That there is no key is an answer too.
    seal();
    let mended = scene.call("PUT", P, r#"{"api_key": null, "headers": {"x-team": "new"}}"#).await.json();
    assert_eq!((&mended["api_key_preview"], &mended["headers"]), (&Value::Null, &json!({ "x-team": "***" })));
    seal();
    assert_eq!(scene.call("PUT", P, r#"{"api_keys": null}"#).await.status.as_u16(), 200);
    assert!(scene.store.settings(SettingsKind::Provider, "p").unwrap().secrets.is_none());
    assert_eq!(scene.get(P).await.json()["problem"], Value::Null);
}
