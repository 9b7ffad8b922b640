//! Every operation of the document, called once with something sensible.

use std::collections::BTreeMap;

use gateway_testing::{Client, client};
use gateway_tests::administrator::ADMIN_KEY;
use gateway_tests::form::{BOUNDARY, Form};
use gateway_tests::stage::{CALLER_KEY, with_header};
use serde_json::{Value, json};

use crate::python;
use crate::scene::{operations, site};

/// What is called, in this order: method, path in the document, what stands for `{id}`, the body, and the status that follows.
const CALLS: [(&str, &str, &str, &str, u16); 46] = [
    ("POST", "/admin/v1/providers", "", r#"{"id": "p", "api_key": "sk-p", "model_mapping": ["x"]}"#, 201),
    ("GET", "/admin/v1/providers", "", "", 200),
    ("GET", "/admin/v1/providers/{id}", "p", "", 200),
    ("PUT", "/admin/v1/providers/{id}", "p", r#"{"weight": 3}"#, 200),
    ("PATCH", "/admin/v1/providers/{id}", "p", r#"{"weight": null}"#, 200),
    ("POST", "/admin/v1/providers/{id}/health", "main", "", 200),
    ("POST", "/admin/v1/health/check", "", r#"{"provider_ids": ["main"], "timeout_secs": 5}"#, 200),
    ("DELETE", "/admin/v1/providers/{id}", "p", "", 204),
    ("POST", "/admin/v1/models", "", r#"{"id": "n", "targets": [{"provider": "main"}]}"#, 201),
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
    ("GET", "/admin/v1/audit", "", "", 200),
    ("GET", "/admin/v1/usage", "", "", 200),
    ("POST", "/v1/chat/completions", "", JSON, 200),
    ("POST", "/v1/completions", "", JSON, 200),
    ("POST", "/v1/embeddings", "", JSON, 200),
    ("POST", "/v1/responses", "", JSON, 200),
    ("POST", "/v1/moderations", "", JSON, 200),
    ("POST", "/v1/images/generations", "", JSON, 200),
    ("POST", "/v1/audio/speech", "", JSON, 200),
    ("POST", "/v1/rerank", "", JSON, 200),
    ("POST", "/v1/audio/transcriptions", "", FORM, 200),
    ("POST", "/v1/audio/translations", "", FORM, 200),
    ("POST", "/v1/images/edits", "", FORM, 200),
    ("POST", "/v1/images/variations", "", FORM, 200),
    ("POST", "/api/llm", "", JSON, 200),
    ("GET", "/v1/models", "", "", 200),
    ("GET", "/v1/models/{id}", "filed", "", 200),
    ("GET", "/health", "", "", 200),
    ("GET", "/health/detailed", "", "", 200),
    ("GET", "/livez", "", "", 200),
    ("GET", "/readyz", "", "", 200),
];

const JSON: &str = r#"{"model": "gpt-4o", "input": "Hello", "messages": [{"role": "user", "content": "Hello"}]}"#;

/// Stands for a form, which is no text.
const FORM: &str = "a form";

/// What says how to present a key for an operation.
fn key(operation: &Value) -> Option<&'static str> {
    let schemes: Vec<_> = operation["security"].as_array().unwrap().iter().filter_map(Value::as_object).collect();
    match schemes.first()?.keys().next().unwrap().as_str() {
        "adminKey" => Some(ADMIN_KEY),
        "callerKey" => Some(CALLER_KEY),
        other => panic!("what is {other}?"),
    }
}

#[tokio::test]
async fn every_operation_answers_as_the_document_says() {
    let site = site().await;
    let node = site.start();
    let document: Value = client::get(node.process.address(), "/openapi.json").await.json();
    let mut left: BTreeMap<_, _> =
        operations(&document).into_iter().map(|(path, method, operation)| ((method, path), operation)).collect();
    let mut caller = Client::connect(node.process.address()).await;
    let mut answers = Vec::new();
    for (method, path, id, body, status) in CALLS {
        let Some(operation) = left.remove(&(method.to_owned(), path)) else {
            panic!("{method} {path} is not documented")
        };
        let form = Form::new().field("model", "gpt-4o").file("file", b"RIFF").end();
        let (kind, body) = match body {
            FORM => (format!("multipart/form-data; boundary={BOUNDARY}"), form),
            text => ("application/json".to_owned(), text.as_bytes().to_vec()),
        };
        let takes = operation["requestBody"]["content"].as_object();
        let media_type = kind.split(';').next().unwrap_or_default();
        assert!(
            body.is_empty() || takes.is_some_and(|it| it.contains_key(media_type)),
            "{method} {path}: {media_type}"
        );
        let mut request = client::request(method, &path.replace("{id}", id), body);
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        if let Some(key) = key(operation) {
            request = with_header(request, "authorization", &format!("Bearer {key}"));
        }
        let answer = caller.send(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {path} does not tell of {status}");
        assert_eq!(response["content"].is_object(), !answer.body.is_empty(), "{method} {path}");
        let schema = &response["content"]["application/json"]["schema"];
        if schema.is_object() {
            let what = format!("{method} {path}");
            answers.push(json!({ "what": what, "schema": schema, "answer": answer.json() }));
        }
    }
    assert!(left.is_empty(), "nobody calls {:?}", left.keys());
    python::assert_conform(&document, &answers);
}
