//! Whether providers answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::scene::Scene;

const FILE: &str = "
providers:
  - { name: good, model_mapping: { a: x, b: y, 'gpt-*': '*' } }
  - { name: mixed, model_mapping: [a, bad-1] }
  - { name: bad, model_mapping: [bad-1, bad-2] }
  - { name: any }
  - { name: 'off', enabled: false, model_mapping: [a] }
models:
  inline: { endpoint: 'https://example.com/v1/chat/completions' }
";
const CHECK: &str = "/admin/v1/health/check";

fn one(id: &str) -> String {
    format!("/admin/v1/providers/{id}/health")
}

#[tokio::test]
async fn each_model_of_a_provider_is_tried_once() {
    let scene = Scene::with_file(FILE);
    for body in ["", "{}", r#"{"models": null}"#] {
        let answer = scene.call("POST", &one("mixed"), body).await;
        let expected = json!({
            "provider_id": "mixed",
            "status": "degraded",
            "models": [
                { "model": "a", "status": "healthy", "response_time_ms": 12, "error": null },
                { "model": "bad-1", "status": "unhealthy", "response_time_ms": null, "error": "503 from the upstream" },
            ],
        });
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
    }
    for (id, status, models) in [("good", "healthy", 2), ("bad", "unhealthy", 2)] {
        let answer = scene.call("POST", &one(id), "").await.json();
        assert_eq!((&answer["status"], answer["models"].as_array().unwrap().len()), (&json!(status), models));
    }
    assert_eq!(scene.prober.probes.lock()[0], ("mixed/a".to_owned(), Duration::from_secs(30)));
}

#[tokio::test]
async fn models_can_be_named_and_are_tried_a_few_at_a_time() {
    let scene = Scene::with_file(FILE);
    let body = json!({ "models": ["a", "b", "a", "c", "d", "e"], "max_concurrent": 3, "timeout_secs": 5 });
    let answer = scene.call("POST", &one("any"), &body.to_string()).await.json();
    let models: Vec<_> = answer["models"].as_array().unwrap().iter().map(|model| &model["model"]).collect();
    assert_eq!(models, ["a", "b", "c", "d", "e"]);
    assert_eq!(scene.prober.most.load(Ordering::Relaxed), 3);
    assert!(scene.prober.probes.lock().iter().all(|(_, timeout)| *timeout == Duration::from_secs(5)));
}

#[tokio::test]
async fn several_providers_are_tried_together() {
    let scene = Scene::with_file(FILE);
    let answer = scene.call("POST", CHECK, "").await.json();
    let ids = |answer: &serde_json::Value| {
        let providers = answer["providers"].as_array().unwrap().clone();
        providers.iter().map(|it| it["provider_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // One that maps nothing and one that is switched off are not tried unasked.
    assert_eq!(
        (&answer["status"], ids(&answer)),
        (&json!("degraded"), vec!["good".into(), "mixed".into(), "bad".into()])
    );
    assert_eq!(scene.prober.most.load(Ordering::Relaxed), 2);
    let body = json!({ "provider_ids": ["any", "good", "any"], "models": ["a"] });
    let answer = scene.call("POST", CHECK, &body.to_string()).await.json();
    assert_eq!((&answer["status"], ids(&answer)), (&json!("healthy"), vec!["any".into(), "good".into()]));
    let answer = scene.call("POST", CHECK, r#"{"models": ["a"]}"#).await.json();
    assert_eq!(ids(&answer).len(), 4);
    let nobody = Scene::new().call("POST", CHECK, "").await;
    assert_eq!((nobody.status.as_u16(), nobody.json()), (200, json!({ "status": "healthy", "providers": [] })));
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused() {
    let scene = Scene::with_file(FILE);
    for (path, body, status, code, param) in [
        (one("any"), "{}", 422, "missing_field", Some("models")),
        (one("any"), r#"{"models": []}"#, 422, "invalid_value", Some("models")),
        (one("any"), r#"{"models": ["a", ""]}"#, 422, "invalid_value", Some("models[1]")),
        (one("any"), r#"{"models": "a"}"#, 422, "invalid_value", Some("models")),
        (one("any"), r#"{"model": "a"}"#, 422, "unknown_field", Some("model")),
        (one("good"), r#"{"max_concurrent": 0}"#, 422, "invalid_value", Some("max_concurrent")),
        (one("good"), r#"{"max_concurrent": 17}"#, 422, "invalid_value", Some("max_concurrent")),
        (one("good"), r#"{"timeout_secs": 0}"#, 422, "invalid_value", Some("timeout_secs")),
        (one("good"), r#"{"timeout_secs": 301}"#, 422, "invalid_value", Some("timeout_secs")),
        (one("good"), "{", 400, "invalid_json", None),
        (one("good"), r#"{"models": ["a"], "models": ["b"]}"#, 400, "duplicate_field", Some("models")),
        (one("nobody"), "{}", 404, "provider_not_found", None),
        (one("model:inline"), "{}", 404, "provider_not_found", None),
        (one("off"), "{}", 409, "provider_disabled", None),
        (CHECK.to_owned(), r#"{"provider_ids": ["good", "nobody"]}"#, 404, "provider_not_found", None),
        (CHECK.to_owned(), r#"{"provider_ids": []}"#, 422, "invalid_value", Some("provider_ids")),
        (CHECK.to_owned(), r#"{"provider_ids": ["any"]}"#, 422, "missing_field", Some("models")),
        (CHECK.to_owned(), r#"{"provider_ids": ["off"]}"#, 409, "provider_disabled", None),
    ] {
        let answer = scene.call("POST", &path, body).await;
        assert_eq!(answer.error(), (status, code.to_owned(), param.map(str::to_owned)), "{path} {body}");
    }
    assert!(scene.prober.probes.lock().is_empty());
}

#[tokio::test]
async fn a_check_comes_to_a_bounded_number_of_requests() {
    let scene = Scene::with_file(FILE);
    let models = |count: usize| (0..count).map(|number| format!("m-{number}")).collect::<Vec<_>>();
    let body = |count| json!({ "provider_ids": ["any", "good"], "models": models(count) }).to_string();
    assert_eq!(scene.call("POST", CHECK, &body(501)).await.error(), (422, "invalid_value".to_owned(), None));
    assert!(scene.prober.probes.lock().is_empty());
    assert_eq!(scene.call("POST", CHECK, &body(500)).await.status.as_u16(), 200);
    assert_eq!(scene.prober.probes.lock().len(), 1000);
}
