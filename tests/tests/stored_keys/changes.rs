//! Changes to a key, each of which holds for the next call.

use gateway_tests::administrator::one;
use gateway_tests::site::{Node, Site, bad, good, verdict};
use serde_json::{Value, json};

/// What becomes of calls for two models after a change.
async fn after(node: &Node, made: (&str, &str), change: Value) -> [(u16, String); 2] {
    let (id, key) = made;
    let changed = node.admin().change(id, change.clone()).await;
    for (field, value) in change.as_object().unwrap() {
        let mut expected = if field == "metadata" && value.is_null() { json!({}) } else { value.clone() };
        if let Some(limits) = expected.as_object_mut().filter(|_| field == "rate_limit") {
            // What is cleared is not there.
            limits.retain(|_, limit| !limit.is_null());
        }
        assert_eq!(changed[field], expected, "{change}");
    }
    assert_eq!(node.admin().find(id).await, changed, "{change}");
    let [gpt, o3] = [r#"{"model":"gpt-4o"}"#, r#"{"model":"o3"}"#];
    [verdict(&node.call_with(key, gpt).await), verdict(&node.call_with(key, o3).await)]
}

#[tokio::test]
async fn every_change_holds_for_the_next_call() {
    let site = Site::new().await;
    let node = site.start();
    let made = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    let refused = |status, code| [bad(status, code), bad(status, code)];
    let fine = [good(), good()];
    for (change, expected) in [
        (json!({ "allowed_models": [] }), refused(403, "model_not_allowed")),
        (json!({ "allowed_models": ["o*"] }), [bad(403, "model_not_allowed"), good()]),
        (json!({ "allowed_models": ["*"] }), fine.clone()),
        (json!({ "rate_limit": { "requests_per_second": 0 } }), refused(429, "rate_limit_exceeded")),
        (
            json!({ "rate_limit": { "requests_per_second": null, "requests_per_minute": 0 } }),
            refused(429, "rate_limit_exceeded"),
        ),
        (
            json!({ "rate_limit": { "requests_per_minute": null, "limit": 0, "period_seconds": 60 } }),
            refused(429, "rate_limit_exceeded"),
        ),
        (json!({ "rate_limit": { "limit": null, "tokens_per_minute": 0 } }), refused(429, "rate_limit_exceeded")),
        (
            json!({ "rate_limit": { "tokens_per_minute": null, "max_concurrent": 0 } }),
            refused(429, "rate_limit_exceeded"),
        ),
        (json!({ "rate_limit": { "max_concurrent": 1 } }), fine.clone()),
        (json!({ "rate_limit": null }), fine.clone()),
        (json!({ "budget": { "usd": 0.0, "period": "day" } }), refused(429, "insufficient_quota")),
        (json!({ "budget": { "usd": 0.5, "period": "total" } }), fine.clone()),
        (json!({ "budget": null }), fine.clone()),
        (json!({ "is_enabled": false }), refused(401, "disabled_api_key")),
        (json!({ "is_enabled": true }), fine.clone()),
        (json!({ "expires_at": "2999-01-01T00:00:00Z" }), fine.clone()),
        (json!({ "expires_at": null }), fine.clone()),
        (json!({ "name": "another name" }), fine.clone()),
        (json!({ "metadata": { "a": 1 } }), fine.clone()),
        (json!({ "metadata": null }), fine.clone()),
        (json!({}), fine.clone()),
        // Several at once.
        (
            json!({ "name": "third", "allowed_models": ["gpt-4o"], "rate_limit": { "limit": 2, "period_seconds": 60 } }),
            [good(), bad(403, "model_not_allowed")],
        ),
        (json!({ "allowed_models": ["*"], "rate_limit": null, "is_enabled": true }), fine),
    ] {
        assert_eq!(after(&node, (&made.id, &made.key), change.clone()).await, expected, "{change}");
    }
}

/// The name is what the log calls the caller by.
#[tokio::test]
async fn the_log_knows_a_key_by_its_latest_name() {
    let site = Site::new().await;
    let node = site.start();
    let made = node.admin().create(json!({ "name": "before" })).await;
    for name in ["before", "after"] {
        node.admin().change(&made.id, json!({ "name": name })).await;
        assert_eq!(node.verdict(&made.key).await, good());
        let line = node.process.log_line(|line| line.contains(r#""target":"access""#));
        assert!(line.contains(&format!(r#""key":"{name}""#)), "{line}");
    }
}

/// `PUT` is `PATCH` by another name: what is left out stays.
#[tokio::test]
async fn what_is_not_mentioned_stays_as_it_is() {
    let site = Site::new().await;
    let node = site.start();
    let fields = json!({
        "name": "team",
        "allowed_models": ["gpt-*"],
        "rate_limit": { "requests_per_minute": 1000 },
        "budget": { "usd": 3.25, "period": "day" },
        "expires_at": "2999-01-01T00:00:00Z",
        "metadata": { "a": 1 },
    });
    let made = node.admin().create(fields.clone()).await;
    let mut expected = node.admin().find(&made.id).await;
    for method in ["PUT", "PATCH"] {
        for (field, value) in [
            ("name", json!(method)),
            ("allowed_models", json!(["*", method])),
            ("rate_limit", json!({ "requests_per_minute": 7 })),
            ("budget", json!({ "usd": 4.0, "period": "month" })),
            ("expires_at", json!("2998-01-01T00:00:00Z")),
            ("is_enabled", json!(method == "PATCH")),
            ("metadata", json!({ "b": method })),
        ] {
            let answer = node.admin().send(method, &one(&made.id), json!({ field: value }).to_string()).await;
            expected[field] = value;
            let mut found = answer.json();
            assert!(found["updated_at"].as_str() >= expected["updated_at"].as_str(), "{found}");
            expected["updated_at"] = found["updated_at"].take();
            found["updated_at"] = expected["updated_at"].clone();
            assert_eq!(found, expected, "{method} {field}");
            assert_eq!(node.admin().list().await, [expected.clone()], "{method} {field}");
        }
    }
}

#[tokio::test]
async fn a_change_is_made_as_a_whole_or_not_at_all() {
    let site = Site::new().await;
    let node = site.start();
    let made = node.admin().create(json!({ "name": "team", "rate_limit": { "limit": 100 } })).await;
    let before = node.admin().find(&made.id).await;
    for (fields, param) in [
        (r#"{"is_enabled":false,"name":""}"#, "name"),
        (r#"{"is_enabled":false,"name":null}"#, "name"),
        (r#"{"is_enabled":false,"allowed_models":["*",""]}"#, "allowed_models[1]"),
        (r#"{"is_enabled":false,"rate_limit":{"burst_size":5}}"#, "rate_limit.burst_size"),
        (r#"{"is_enabled":false,"rate_limit":{"requests_per_second":-1}}"#, "rate_limit.requests_per_second"),
        (r#"{"is_enabled":false,"budget":{"usd":-1,"period":"day"}}"#, "budget.usd"),
        (r#"{"is_enabled":false,"budget":{"usd":1}}"#, "budget.period"),
        (r#"{"is_enabled":false,"expires_at":"2001-01-01T00:00:00Z"}"#, "expires_at"),
        (r#"{"is_enabled":false,"metadata":[]}"#, "metadata"),
        (r#"{"is_enabled":false,"id":"other"}"#, "id"),
        (r#"{"is_enabled":false,"key":"sk-another-0123456789"}"#, "key"),
    ] {
        let answer = node.admin().send("PATCH", &one(&made.id), fields).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status.as_u16(), &error["param"]), (400, &json!(param)), "{fields}: {error}");
        assert_eq!(node.admin().find(&made.id).await, before, "{fields}");
    }
    assert_eq!(node.verdict(&made.key).await, good());
}

#[tokio::test]
async fn an_ended_key_is_refused_at_once() {
    let site = Site::new().await;
    let node = site.start();
    for number in 0..10 {
        let made = node.admin().create(json!({ "id": "again-and-again", "name": "x" })).await;
        let newer = node.admin().rotate(&made.id, 600).await;
        assert_eq!((node.verdict(&made.key).await, node.verdict(&newer.key).await), (good(), good()), "{number}");
        node.admin().remove(&made.id).await;
        for key in [&made.key, &newer.key] {
            assert_eq!(node.verdict(key).await, bad(401, "invalid_api_key"), "{number}");
        }
        for (method, path) in [("GET", one(&made.id)), ("DELETE", one(&made.id)), ("PATCH", one(&made.id))] {
            let answer = node.admin().send(method, &path, if method == "PATCH" { "{}" } else { "" }).await;
            assert_eq!(verdict(&answer), bad(404, "key_not_found"), "{method}");
        }
    }
    assert!(node.admin().list().await.is_empty());
}

/// Several administrators change the same key at the same moment; each says something else of it.
#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_are_all_kept() {
    let site = Site::new().await;
    let node = site.start();
    let made = node.admin().create(json!({ "name": "team" })).await;
    let changes = [
        json!({ "name": "changed" }),
        json!({ "allowed_models": ["gpt-*"] }),
        json!({ "rate_limit": { "limit": 50, "period_seconds": 60 } }),
        json!({ "budget": { "usd": 7.0, "period": "day" } }),
        json!({ "expires_at": "2999-01-01T00:00:00Z" }),
        json!({ "metadata": { "a": 1 } }),
    ];
    let admin = node.admin();
    let tasks: Vec<_> = changes
        .iter()
        .map(|change| {
            let (id, change) = (made.id.clone(), change.clone());
            tokio::spawn(async move { admin.change(&id, change).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let found = admin.find(&made.id).await;
    for change in changes {
        for (field, value) in change.as_object().unwrap() {
            assert_eq!(found[field], *value, "{field}");
        }
    }
}
