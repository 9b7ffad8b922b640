//! Whether the document tells what is there: each operation is called, and answers as it says.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::scene::{Scene, request};

const FILE: &str =
    "providers: [{ name: filed, model_mapping: [m] }]\nmodels: { m: { targets: [{ provider: filed }] } }\n";

/// Every operation of administrators: method, path in the document, what stands for `{id}`, a body that is accepted, and the
/// status that follows.
const OPERATIONS: [(&str, &str, &str, &str, u16); 27] = [
    ("POST", "/admin/v1/providers", "", r#"{"id": "p", "api_key": "sk-p"}"#, 201),
    ("GET", "/admin/v1/providers", "", "", 200),
    ("GET", "/admin/v1/providers/{id}", "p", "", 200),
    ("PUT", "/admin/v1/providers/{id}", "p", r#"{"model_mapping": ["x"]}"#, 200),
    ("PATCH", "/admin/v1/providers/{id}", "p", r#"{"weight": 2}"#, 200),
    ("POST", "/admin/v1/providers/{id}/health", "p", "", 200),
    ("POST", "/admin/v1/health/check", "", "", 200),
    ("DELETE", "/admin/v1/providers/{id}", "p", "", 204),
    ("POST", "/admin/v1/models", "", r#"{"id": "n", "targets": [{"provider": "filed"}]}"#, 201),
    ("GET", "/admin/v1/models", "", "", 200),
    ("GET", "/admin/v1/models/{id}", "n", "", 200),
    ("PUT", "/admin/v1/models/{id}", "n", r#"{"max_retries": 1}"#, 200),
    ("PATCH", "/admin/v1/models/{id}", "n", r#"{"max_retries": null}"#, 200),
    ("DELETE", "/admin/v1/models/{id}", "n", "", 204),
    ("POST", "/admin/v1/master-keys", "", r#"{"id": "k", "name": "k"}"#, 201),
    ("GET", "/admin/v1/master-keys", "", "", 200),
    ("GET", "/admin/v1/master-keys/{id}", "k", "", 200),
    ("PUT", "/admin/v1/master-keys/{id}", "k", r#"{"name": "l"}"#, 200),
    ("PATCH", "/admin/v1/master-keys/{id}", "k", r#"{"rate_limit": null}"#, 200),
    ("POST", "/admin/v1/master-keys/{id}/rotate", "k", "", 200),
    ("DELETE", "/admin/v1/master-keys/{id}", "k", "", 204),
    ("POST", "/api/keys", "", r#"{"limit": 5, "period": 60}"#, 201),
    ("GET", "/admin/v1/config", "", "", 200),
    ("GET", "/admin/v1/config/version", "", "", 200),
    ("POST", "/admin/v1/config/reload", "", "", 200),
    ("GET", "/admin/v1/usage", "", "", 200),
    ("GET", "/admin/v1/audit", "", "", 200),
];

async fn document(scene: &Scene) -> Value {
    scene.send(request("GET", "/openapi.json", "")).await.json()
}

#[tokio::test]
async fn every_operation_is_called_and_answers_as_documented() {
    let scene = Scene::with_file(FILE);
    let document = document(&scene).await;
    for (method, path, id, body, status) in OPERATIONS {
        let answer = scene.call(method, &path.replace("{id}", id), body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
        let described = &document["paths"][path][method.to_ascii_lowercase()];
        let response = &described["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {path} does not tell of {status}");
        assert_eq!(response["content"].is_object(), !answer.text.is_empty(), "{method} {path}");
        for name in response["headers"].as_object().unwrap().keys() {
            assert!(answer.headers.contains_key(name), "{method} {path}: {name}");
        }
        assert!(described["requestBody"].is_object() || body.is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn the_list_of_operations_is_whole() {
    let document = document(&Scene::new()).await;
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|name| *name != "parameters") {
            if path.starts_with("/admin/") || path.starts_with("/api/keys") {
                described.insert((method.to_ascii_uppercase(), path.clone()));
            }
        }
    }
    let called: BTreeSet<_> =
        OPERATIONS.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(described, called);
}

#[tokio::test]
async fn callers_find_their_paths() {
    let document = document(&Scene::new()).await;
    for (method, path) in [
        ("post", "/v1/chat/completions"),
        ("post", "/v1/rerank"),
        ("post", "/v1/audio/transcriptions"),
        ("post", "/api/llm"),
        ("get", "/v1/models"),
        ("get", "/v1/models/{id}"),
        ("get", "/health"),
        ("get", "/livez"),
        ("get", "/readyz"),
        ("get", "/health/detailed"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
}

#[tokio::test]
async fn refusals_that_every_operation_has_are_documented() {
    let scene = Scene::with_file(FILE);
    let document = document(&scene).await;
    for (method, path, id, ..) in OPERATIONS {
        let responses = &document["paths"][path][method.to_ascii_lowercase()]["responses"];
        let uri = path.replace("{id}", id);
        let bare = Request::builder().method(method).uri(&*uri).body(Full::new(Bytes::new())).unwrap();
        let mut refused = vec![scene.send(bare).await];
        if matches!(method, "POST" | "PUT" | "PATCH") && !path.ends_with("/reload") {
            refused.push(scene.call(method, &uri, "{").await);
            refused.push(scene.call(method, &uri, &format!(r#"{{"id": "{}"}}"#, "x".repeat(1 << 20))).await);
            let mut other = request(method, &uri, "{}");
            other.headers_mut().insert("content-type", "text/plain".parse().unwrap());
            refused.push(scene.send(other).await);
        }
        if path.contains("{id}") {
            let body = if matches!(method, "POST" | "PUT" | "PATCH") { "{}" } else { "" };
            refused.push(scene.call(method, &path.replace("{id}", "nobody"), body).await);
        }
        for answer in refused {
            let status = answer.status.as_u16().to_string();
            assert!(answer.status.is_client_error() && responses[&status].is_object(), "{method} {path}: {status}");
            answer.error();
        }
    }
}

/// What usage is asked for and how it is refused: without a key, with the API switched off, for something that cannot be, where
/// there is no store, and where it is away.
#[tokio::test]
async fn usage_is_documented_with_all_that_it_takes_and_refuses() {
    const USAGE: &str = "/admin/v1/usage";
    let scene = Scene::new();
    let document = document(&scene).await;
    let described = &document["paths"][USAGE]["get"];
    let parameters: Vec<_> = described["parameters"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(parameters, ["from", "to", "group_by", "limit", "cursor"]);
    let away = Scene::new();
    away.usage.is_down.store(true, Ordering::Relaxed);
    let bare = Request::get(USAGE).body(Full::new(Bytes::new())).unwrap();
    for (answer, status) in [
        (scene.get(&format!("{USAGE}?group_by=hue")).await, 400),
        (scene.send(bare).await, 401),
        (Scene::with_admin_key(None).get(USAGE).await, 403),
        (Scene::without_store().get(USAGE).await, 409),
        (away.get(USAGE).await, 503),
    ] {
        assert_eq!(answer.error().0, status);
        assert!(described["responses"][status.to_string()].is_object(), "{status}");
    }
}

#[tokio::test]
async fn detailed_health_is_described_to_the_last_member() {
    let document = document(&Scene::new()).await;
    let schemas = &document["components"]["schemas"];
    let answer = &document["paths"]["/health/detailed"]["get"]["responses"]["200"]["content"]["application/json"];
    assert_eq!(answer["schema"]["$ref"], "#/components/schemas/DetailedHealth");
    // Everything that is always there, which is all but what administrators alone are told.
    for (name, optional) in [
        ("DetailedHealth", 0),
        ("DetailedConfiguration", 2),
        ("DetailedLeftOut", 0),
        ("DetailedProvider", 0),
        ("DetailedTarget", 0),
        ("LastFailure", 0),
        ("CheckFinding", 0),
    ] {
        let (members, required) = (&schemas[name]["properties"], &schemas[name]["required"]);
        let members = members.as_object().unwrap_or_else(|| panic!("{name}"));
        assert_eq!(required.as_array().unwrap().len() + optional, members.len(), "{name}");
        assert!(members.values().all(|it| it["description"].is_string()), "{name}: {members:?}");
    }
}
