//! Every field of a provider, there and back.

use gateway_tests::entries::PROVIDERS;
use gateway_tests::site::calling;
use gateway_tests::stage::{CALLER_KEY, with_header};
use serde_json::{Value, json};

use crate::scene::{Scene, body, chat, one};

const ONE: &str = "sk-first-7f21c09a4e83d5b0";
const OTHER: &str = "sk-second-5be0d1f3a967c412";
const THIRD: &str = "sk-third-90cd47e26b18fa75";
const HEADER: &str = "team-value-61ce";

fn all_fields(scene: &Scene) -> Value {
    json!({
        "id": "all",
        "provider_type": "openai",
        "api_base": scene.site.upstream.api_base(),
        "api_keys": [ONE, OTHER],
        "weight": 7,
        "is_enabled": true,
        "model_mapping": {
            "zz-first": "one-2024",
            "priced": {
                "mapped_model": "dear-1", "input_cost_per_million_tokens": 2.5, "output_cost_per_million_tokens": 10.0
            },
            "wild-*": "*",
        },
        "headers": { "x-team": HEADER },
        "forward_headers": ["x-trace-team"],
        "max_in_flight": 5,
        "verify_ssl": false,
        "timeouts": { "connect": "2s", "headers": "3s", "first_token": "4s", "idle": "5s", "total": "500s" },
        // Checks would be among what the upstream receives; `health` has those.
        "health_check": false,
    })
}

/// A check an hour, as it is shown.
fn hourly(timeout: &str) -> Value {
    json!({ "model": "m", "interval": "3600s", "timeout": timeout })
}

/// What is shown of all fields, but for the times.
fn shown(mut fields: Value) -> Value {
    let members = fields.as_object_mut().unwrap();
    members.remove("api_keys");
    members.insert("api_key_preview".to_owned(), json!("sk-…5b0"));
    members.insert("api_key_previews".to_owned(), json!(["sk-…5b0", "sk-…412"]));
    members.insert("headers".to_owned(), json!({ "x-team": "***" }));
    members.insert("source".to_owned(), json!("store"));
    fields
}

/// Takes the time of the last change out, and sees to it that both times are there.
fn without_times(mut view: Value) -> Value {
    for name in ["created_at", "updated_at"] {
        let time = view.as_object_mut().unwrap().remove(name);
        assert!(time.as_ref().is_some_and(Value::is_string), "{name} in {view}: {time:?}");
    }
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_comes_back_and_is_used() {
    for scene in Scene::each().await {
        let fields = all_fields(&scene);
        let made = scene.admin().post(PROVIDERS, &fields).await;
        let found = scene.admin().get(&one("all")).await;
        assert_eq!(found, made);
        assert_eq!(without_times(found.clone()), shown(fields));
        let listed = scene.admin().entries(PROVIDERS).await;
        assert_eq!(listed.iter().find(|it| it["id"] == "all"), Some(&found));
        for (model, expected) in [("zz-first", "one-2024"), ("priced", "dear-1"), ("wild-7", "wild-7")] {
            let request = with_header(calling(CALLER_KEY, chat(model)), "x-trace-team", "traced");
            let answer = scene.node.send(with_header(request, "x-other", "dropped")).await;
            assert_eq!(answer.status, 200, "{model}: {}", answer.text());
            let request = scene.site.upstream.requests().pop().unwrap();
            assert_eq!(body(&request)["model"], expected);
            assert_eq!((request.header("x-team"), request.header("x-other")), (Some(HEADER), None));
            assert_eq!(request.header("x-trace-team"), Some("traced"));
            assert_eq!(request.header("authorization"), Some(&*format!("Bearer {ONE}")));
        }
    }
}

/// Each field changed alone, and then taken away; the rest stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_leaves_the_other_fields_alone() {
    for scene in Scene::each().await {
        let mut expected = scene.admin().post(PROVIDERS, &all_fields(&scene)).await;
        let base = format!("http://{}/v2", scene.site.upstream.address());
        for (field, value, and_shown) in [
            ("api_base", json!(base), json!({ "api_base": base })),
            ("weight", json!(8), json!({ "weight": 8 })),
            ("is_enabled", json!(false), json!({ "is_enabled": false })),
            ("is_enabled", json!(true), json!({ "is_enabled": true })),
            ("model_mapping", json!({ "other": "o-1" }), json!({ "model_mapping": { "other": "o-1" } })),
            ("headers", json!({ "x-b": "1", "x-a": "2" }), json!({ "headers": { "x-a": "***", "x-b": "***" } })),
            ("forward_headers", json!([]), json!({ "forward_headers": [] })),
            ("max_in_flight", json!(6), json!({ "max_in_flight": 6 })),
            ("verify_ssl", json!(true), json!({ "verify_ssl": true })),
            ("api_key", json!(THIRD), json!({ "api_key_preview": "sk-…a75", "api_key_previews": null })),
            ("weight", Value::Null, json!({ "weight": 1 })),
            ("max_in_flight", Value::Null, json!({ "max_in_flight": null })),
            ("headers", Value::Null, json!({ "headers": {} })),
            ("model_mapping", Value::Null, json!({ "model_mapping": {} })),
            ("api_key", Value::Null, json!({ "api_key_preview": null })),
            ("health_check", json!({ "interval": "1h", "model": "m" }), json!({ "health_check": hourly("10s") })),
            ("health_check", json!(false), json!({ "health_check": false })),
            ("health_check", hourly("7s"), json!({ "health_check": hourly("7s") })),
            ("weight", json!(9), json!({ "weight": 9 })),
            ("weight", Value::Null, json!({ "weight": 1 })),
            ("health_check", Value::Null, json!({ "health_check": false })),
        ] {
            let changed = scene.admin().put(&one("all"), &json!({ field: value })).await;
            for (name, shown) in and_shown.as_object().unwrap() {
                let members = expected.as_object_mut().unwrap();
                // A list of several keys is not there if there is one.
                if name == "api_key_previews" {
                    members.remove(name)
                } else {
                    members.insert(name.clone(), shown.clone())
                };
            }
            assert!(changed["updated_at"].as_str() > expected["updated_at"].as_str(), "{field}: {changed}");
            expected["updated_at"] = changed["updated_at"].clone();
            assert_eq!(changed, expected, "{field}");
            assert_eq!(scene.admin().get(&one("all")).await, expected, "{field}");
        }
        // A part of the timeouts is all that is said of them.
        let changed = scene.admin().put(&one("all"), &json!({ "timeouts": { "connect": "1500ms" } })).await;
        assert_eq!(
            (&changed["timeouts"]["connect"], &changed["timeouts"]["headers"]),
            (&json!("1500ms"), &json!("60s"))
        );
        assert_nothing_is_changed_by_nothing(&scene).await;
    }
}

async fn assert_nothing_is_changed_by_nothing(scene: &Scene) {
    let (before, noted) = (scene.admin().get(&one("all")).await, scene.admin().audit().await.len());
    let version = scene.admin().get("/admin/v1/config/version").await;
    for fields in [json!({}), json!({ "weight": null }), json!({ "timeouts": { "connect": "1500ms" } })] {
        assert_eq!(scene.admin().put(&one("all"), &fields).await, before);
    }
    assert_eq!(scene.admin().audit().await.len(), noted);
    assert_eq!(scene.admin().get("/admin/v1/config/version").await, version);
}

/// Patterns are tried in the order in which they were written, so that is how they come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_keeps_its_order() {
    const MAPPING: &str = r#""model_mapping":{"zz-*":"first","zz-a*":"never","aa":"third","z*":"fourth"}"#;
    for scene in Scene::each().await {
        let base = scene.site.upstream.api_base();
        let body = format!(r#"{{"id":"all","api_base":"{base}",{MAPPING}}}"#);
        for (method, path) in [("POST", PROVIDERS.to_owned()), ("PUT", one("all"))] {
            let answer = scene.admin().send(method, &path, body.clone()).await;
            assert!(answer.status.is_success() && answer.text().contains(MAPPING), "{}", answer.text());
        }
        for (model, expected) in [("zz-a", "first"), ("zy", "fourth"), ("aa", "third")] {
            assert_eq!(self::body(&scene.received(model).await)["model"], expected);
        }
    }
}

/// A name may hold whatever does not stand in a path by itself.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_all_kinds() {
    for scene in Scene::each().await {
        for (id, path) in [
            ("Östlich 7", "%C3%96stlich%207"),
            ("a?b#c", "a%3Fb%23c"),
            ("x'; DROP", "x%27%3B%20DROP"),
            ("%41", "%2541"),
        ] {
            let answer = scene.admin().send("POST", PROVIDERS, scene.provider(id, "m").to_string()).await;
            assert_eq!((answer.status.as_u16(), answer.json()["id"].as_str()), (201, Some(id)), "{}", answer.text());
            assert_eq!(scene.admin().get(answer.header("location")).await["id"], id);
            assert_eq!(scene.admin().put(&one(path), &json!({ "weight": 2 })).await["weight"], 2);
            scene.received("m").await;
            scene.admin().delete(&one(path)).await;
            assert_eq!(scene.verdict("m").await.0, 404);
        }
    }
}
