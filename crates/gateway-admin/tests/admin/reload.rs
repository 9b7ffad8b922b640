//! The configuration that is in force, and how it becomes another.

use serde_json::json;

use crate::scene::{ADMIN_KEY, KEYS, Scene, request};

const VERSION: &str = "/admin/v1/config/version";
const RELOAD: &str = "/admin/v1/config/reload";

fn file(more: &str) -> String {
    format!("auth: none\nadmin: {{ key: '{ADMIN_KEY}' }}\n{more}")
}

#[tokio::test]
async fn a_good_file_comes_into_force() {
    let scene = Scene::new();
    let before =
        json!({ "version": 1, "source": "file and store", "loaded_at": "1970-01-01T00:00:00Z", "last_error": null });
    assert_eq!(scene.get(VERSION).await.json(), before);
    scene.configuration.write_file(&file("providers: [{ name: openai }]"));
    let answer = scene.call("POST", RELOAD, "").await;
    assert_eq!(answer.status.as_u16(), 200);
    let expected = json!({
        "version": 2, "added": [], "removed": [], "changed": ["providers.openai"], "needs_restart": [],
        "warnings": answer.json()["warnings"],
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(scene.get(VERSION).await.json()["version"], 2);
    assert_eq!(scene.get("/admin/v1/providers/openai").await.json()["source"], "file");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_all_that_is_wrong() {
    let scene = Scene::new();
    scene.configuration.write_file(&file("providers:\n  - { name: a, weight: 0 }\n  - { name: b, wieght: 1 }\n"));
    let answer = scene.call("POST", RELOAD, "").await;
    assert_eq!(answer.error(), (422, "invalid_configuration".to_owned(), None));
    let errors = answer.json()["error"]["errors"].as_array().unwrap().clone();
    assert_eq!(errors.len(), 2, "{errors:?}");
    let weight = &errors[0];
    assert_eq!((&weight["path"], &weight["line"]), (&json!("providers[0].weight"), &json!(4)));
    assert!(weight["file"].as_str().unwrap().ends_with("config.yaml") && weight["column"].is_u64());
    assert!(errors[1]["message"].as_str().unwrap().contains("weight"), "{errors:?}");
    let version = scene.get(VERSION).await.json();
    assert_eq!((&version["version"], version["last_error"].is_string()), (&json!(1), true));
}

#[tokio::test]
async fn the_admin_key_can_change() {
    let scene = Scene::new();
    scene.configuration.write_file("auth: none\nadmin: { key: another-admin-key }\n");
    assert_eq!(scene.call("POST", RELOAD, "").await.status.as_u16(), 200);
    assert_eq!(scene.get(KEYS).await.error().1, "invalid_admin_key");
    let mut request = request("GET", KEYS, "");
    request.headers_mut().insert("authorization", "Bearer another-admin-key".parse().unwrap());
    assert_eq!(scene.send(request).await.status.as_u16(), 200);
    scene.configuration.write_file("auth: none\n");
    scene.configuration.resolve_in_force().unwrap();
    assert_eq!(scene.get(KEYS).await.error().1, "admin_disabled");
}

#[tokio::test]
async fn what_is_in_force_is_shown_without_secrets() {
    let secret = "sk-0123456789abcdef0123456789";
    let scene = Scene::with_file(&format!(
        "providers: [{{ name: a, api_key: {secret}, headers: {{ x-key: {secret} }} }}]\n\
         master_keys: [{{ name: k, key: {secret} }}]\n"
    ));
    let answer = scene.get("/admin/v1/config").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.json()["providers"][0]["name"], "a");
    for secret in [secret, ADMIN_KEY] {
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
}
