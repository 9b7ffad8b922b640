//! What calls took: told apart as it is asked for, page by page.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::scene::Scene;

const USAGE: &str = "/admin/v1/usage";

/// The clock of a scene says 2030-01-01T00:00:00.123456789Z.
fn scene() -> Scene {
    let scene = Scene::new();
    for (hour, names, requests) in [
        ("2029-12-30T23:00:00Z", ["old", "m", "p"], 1000),
        ("2029-12-31T00:00:00Z", ["a", "m", "p"], 1),
        ("2029-12-31T23:00:00Z", ["a", "m", "p"], 2),
        ("2030-01-01T00:00:00Z", ["a", "m", "q"], 4),
        ("2030-01-01T00:00:00Z", ["unknown", "unknown", "none"], 8),
        ("2030-01-01T01:00:00Z", ["future", "m", "p"], 1000),
    ] {
        scene.usage.count(hour, names, requests);
    }
    scene
}

async fn data(scene: &Scene, query: &str) -> (Vec<Value>, Value) {
    let mut report = scene.get(&format!("{USAGE}?{query}")).await.json();
    let rows = report["data"].take();
    (rows.as_array().unwrap_or_else(|| panic!("{query}: {report}")).clone(), report)
}

#[tokio::test]
async fn the_last_day_is_told_by_key_model_and_provider() {
    let (rows, report) = data(&scene(), "").await;
    let names =
        |row: &Value| [&row["key"], &row["model"], &row["provider"]].map(|name| name.as_str().unwrap().to_owned());
    assert_eq!(
        rows.iter().map(names).collect::<Vec<_>>(),
        [["a", "m", "p"], ["a", "m", "q"], ["unknown", "unknown", "none"]]
    );
    let first = json!({
        "key": "a", "model": "m", "provider": "p", "requests": 3, "errors": 1, "estimated_requests": 2, "prompt_tokens": 210,
        "completion_tokens": 90, "cached_tokens": 3, "total_tokens": 300, "cost_usd": 0.3,
    });
    assert_eq!(rows[0], first, "nothing that was not asked for");
    let expected = json!({
        "from": "2029-12-31T00:00:00Z", "to": "2030-01-01T01:00:00Z", "group_by": ["key", "model", "provider"], "data": null,
        "totals": {
            "requests": 15, "errors": 7, "estimated_requests": 4, "prompt_tokens": 1050, "completion_tokens": 450,
            "cached_tokens": 15, "total_tokens": 1500, "cost_usd": 1.5,
        },
        "is_current": true, "next_cursor": null,
    });
    assert_eq!(report, expected);
}

#[tokio::test]
async fn any_of_it_is_told_apart() {
    let scene = scene();
    for (query, expected) in [
        ("group_by=key", json!([["a", 7], ["unknown", 8]])),
        ("group_by=", json!([[15]])),
        ("group_by=day", json!([["2029-12-31", 3], ["2030-01-01", 12]])),
        (
            "group_by=hour,provider&from=2030-01-01",
            json!([["2030-01-01T00:00:00Z", "none", 8], ["2030-01-01T00:00:00Z", "q", 4]]),
        ),
        (
            "group_by=day,hour,model&to=2029-12-31",
            json!([["2029-12-31T00:00:00Z", "2029-12-31", "m", 1], ["2029-12-31T23:00:00Z", "2029-12-31", "m", 2]]),
        ),
        ("group_by=key&from=2029-12-30&to=2029-12-30", json!([["old", 1000]])),
        ("group_by=key&from=2029-12-31T01:00:00%2B01:00&to=2029-12-31T00:00:01Z", json!([["a", 1]])),
        ("group_by=key&from=2031-01-01&to=2031-01-01", json!([])),
    ] {
        let (rows, report) = data(&scene, query).await;
        let parts = |row: &Value| {
            let names = ["hour", "day", "key", "model", "provider", "requests"];
            names.into_iter().filter_map(|name| row.get(name).cloned()).collect::<Value>()
        };
        assert_eq!(rows.iter().map(parts).collect::<Value>(), expected, "{query}");
        let sum: u64 = rows.iter().map(|row| row["requests"].as_u64().unwrap()).sum();
        assert_eq!(report["totals"]["requests"], sum, "{query}");
    }
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let scene = scene();
    for group_by in ["key,model,provider", "hour,key", "day,hour,provider", "model", ""] {
        let query = format!("group_by={group_by}&from=2029-12-30&to=2030-01-01");
        let (whole, all) = data(&scene, &query).await;
        for limit in 1..=whole.len() + 1 {
            let (mut found, mut next) = (Vec::new(), String::new());
            loop {
                let (rows, report) = data(&scene, &format!("{query}&limit={limit}{next}")).await;
                assert!(!rows.is_empty() && rows.len() <= limit);
                let expected = if next.is_empty() { &all["totals"] } else { &Value::Null };
                assert_eq!(&report["totals"], expected, "of everything, once");
                found.extend(rows);
                match report["next_cursor"].as_str() {
                    Some(cursor) => next = format!("&cursor={cursor}"),
                    None => break,
                }
            }
            assert_eq!(found, whole, "{group_by}, {limit} a page");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let scene = scene();
    let (_, report) = data(&scene, "limit=1&group_by=key").await;
    let cursor = report["next_cursor"].as_str().unwrap();
    let other = format!("group_by=model&cursor={cursor}");
    for (query, code, param) in [
        ("from=yesterday", "invalid_value", Some("from")),
        ("to=2030-13-01", "invalid_value", Some("to")),
        ("from=2030-01-02", "invalid_value", Some("from")),
        ("group_by=keys", "invalid_value", Some("group_by")),
        ("group_by=key,key", "invalid_value", Some("group_by")),
        ("limit=1001", "invalid_value", Some("limit")),
        ("cursor=zz", "invalid_value", Some("cursor")),
        (&other, "invalid_value", Some("cursor")),
        ("from=2030-01-01&from=2030-01-01", "duplicate_field", Some("from")),
        ("sk-secret=1", "unknown_field", None),
    ] {
        let answer = scene.get(&format!("{USAGE}?{query}")).await;
        assert_eq!(answer.error(), (400, code.to_owned(), param.map(str::to_owned)), "{query}");
        assert!(!answer.text.contains("sk-secret"), "{}", answer.text);
    }
    let flushes = scene.usage.flushes.load(Ordering::Relaxed);
    assert_eq!(flushes, 1, "nothing is written for a question that is refused");
}

#[tokio::test]
async fn without_a_store_there_is_none() {
    let scene = Scene::without_store();
    assert_eq!(scene.get(USAGE).await.error(), (409, "no_store".to_owned(), None));
    let scene = self::scene();
    scene.usage.is_down.store(true, Ordering::Relaxed);
    let answer = scene.get(USAGE).await;
    assert_eq!(answer.error(), (503, "store_unavailable".to_owned(), None));
    assert!(!answer.text.contains("secret-host"));
}

#[tokio::test]
async fn who_has_to_wait_for_others_is_told_so() {
    let scene = scene();
    scene.usage.is_busy.store(true, Ordering::Relaxed);
    let answer = scene.get(USAGE).await;
    assert_eq!(answer.error(), (503, "reports_busy".to_owned(), None));
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(answer.text.contains("Try again") && !answer.text.contains("cannot be reached"), "{}", answer.text);
}
