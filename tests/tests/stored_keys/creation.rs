//! New keys: made here or brought along, used at once, shown once.

use gateway_tests::administrator::{KEYS, Made, one};
use gateway_tests::site::{Site, bad, good, verdict};
use serde_json::json;

/// What may be shown of a made key, such as `sk-gw-AbC…xyz`.
fn preview(key: &str) -> String {
    format!("{}…{}", &key[..9], &key[key.len() - 3..])
}

#[tokio::test]
async fn a_key_works_from_the_moment_that_it_is_told() {
    let site = Site::new().await;
    let node = site.start();
    for number in 0..20 {
        let Made { key, .. } = node.admin().create(json!({ "name": format!("team {number}") })).await;
        assert_eq!(node.verdict(&key).await, good(), "{number}");
        let random = key.strip_prefix("sk-gw-").unwrap_or_default();
        assert_eq!(random.len(), 49, "43 digits and the checksum of {key}");
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
        // One that was mistyped is nobody's.
        assert_eq!(node.verdict(&format!("{key}0")).await, bad(401, "invalid_api_key"));
        assert_eq!(node.verdict(&key[..54]).await, bad(401, "invalid_api_key"));
    }
    assert_eq!(site.upstream.requests().len(), 20);
}

#[tokio::test]
async fn a_key_is_told_once() {
    let site = Site::new().await;
    let node = site.start();
    let fields = json!({
        "id": "team-a.1",
        "name": "Team Ä",
        "allowed_models": ["gpt-*", "o3"],
        "rate_limit": { "requests_per_second": 5, "burst_size": 9, "tokens_per_minute": 1000, "max_concurrent": 3 },
        "budget": { "usd": 12.5, "period": "month" },
        "expires_at": "2999-01-31T00:00:00+01:00",
        "is_enabled": true,
        "metadata": { "cost centre": 7, "nested": { "list": [null, "x"] } },
    });
    let answer = node.admin().send("POST", KEYS, fields.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("location"), one("team-a.1"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut made = answer.json();
    let key = made.as_object_mut().unwrap().remove("key").unwrap();
    let key = key.as_str().unwrap();
    assert_eq!(answer.text().matches(key).count(), 1, "{}", answer.text());

    let mut expected = fields.clone();
    expected["expires_at"] = json!("2999-01-30T23:00:00Z");
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(made[name], *value, "{name}");
    }
    assert_eq!(made["key_preview"], preview(key));
    assert_eq!((&made["source"], &made["last_used_at"], &made["weak"]), (&json!("store"), &json!(null), &json!(null)));
    assert_eq!(made["created_at"], made["updated_at"]);

    let found = node.admin().send("GET", &one("team-a.1"), "").await;
    assert_eq!(found.json(), made);
    let listed = node.admin().send("GET", KEYS, "").await;
    assert_eq!(listed.json(), json!({ "data": [made], "next_cursor": null }));
    for text in [found.text(), listed.text(), node.admin().send("GET", "/admin/v1/audit", "").await.text()] {
        assert!(text.contains(&preview(key)) && !text.contains(&key[9..52]), "{text}");
    }
}

#[tokio::test]
async fn all_keys_are_listed_page_by_page() {
    let site = Site::of(&[gateway_tests::site::STORED, gateway_tests::site::FILED].concat()).await;
    let node = site.start();
    for number in 0..7 {
        node.admin().create(json!({ "id": format!("k{number}"), "name": "x" })).await;
    }
    for limit in [1, 2, 3, 7, 8, 9, 1000] {
        let keys = node.admin().pages(KEYS, "cursor", limit).await;
        let ids: Vec<_> = keys.iter().map(|key| key["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "filed"], "{limit} at once");
    }
}

#[tokio::test]
async fn keys_may_be_brought_along() {
    let site = Site::new().await;
    let node = site.start();
    // What is said at the start is about other things.
    node.process.log_line(|line| line.contains("\"listening\""));
    for (key, is_weak) in [
        ("x", true),
        ("fifteen-letters", true),
        ("sixteen-letters-", false),
        ("ключ-от-всех-дверей", false),
        ("with some blanks in it", false),
        ("'; DROP TABLE master_keys; --", false),
        ("%s%n\\x00\"{}[]", true),
        (&"long-".repeat(200), false),
        // Of the form of a made key, with a wrong checksum: whoever brings it along may.
        ("sk-gw-0000000000000000000000000000000000000000000000000", false),
    ] {
        let made = node.admin().create(json!({ "name": "brought along", "key": key })).await;
        assert_eq!(made.key, key);
        assert_eq!(made.answer["weak"], if is_weak { json!(true) } else { json!(null) }, "{key}");
        assert_eq!(node.admin().find(&made.id).await["weak"], made.answer["weak"], "{key}");
        let answer = node.call(key).await;
        assert_eq!(verdict(&answer), good(), "{key}");
        let log = node.process.log_until(|line| line.contains(answer.header("x-request-id")));
        let warnings: Vec<_> = log.iter().filter(|line| line.contains("\"WARN\"")).collect();
        assert_eq!(warnings.len(), usize::from(is_weak), "{key}: {warnings:?}");
        assert!(warnings.iter().all(|line| line.contains(&made.id)), "{warnings:?}");
        let is_told = |line: &String| key.len() > 1 && line.contains(key);
        assert!(!log.iter().any(is_told), "{key} is in {log:?}");

        let again = node.admin().send("POST", KEYS, json!({ "name": "again", "key": key }).to_string()).await;
        assert_eq!(verdict(&again), bad(409, "key_taken"), "{key}");
        assert!(key.len() == 1 || !again.text().contains(key), "{}", again.text());
    }
    assert_eq!(node.admin().list().await.len(), 9);
}

#[tokio::test]
async fn the_short_form_has_its_limit_in_two_words() {
    let site = Site::new().await;
    let node = site.start();
    let create = async |fields: &str| node.admin().send("POST", "/api/keys", fields.to_owned()).await;
    for (fields, limit, admitted) in [
        ("{}", json!(null), 5),
        (r#"{"limit":2}"#, json!({ "limit": 2 }), 2),
        (r#"{"limit":3,"period":3600}"#, json!({ "limit": 3, "period_seconds": 3600 }), 3),
        (r#"{"limit":0,"period":1}"#, json!({ "limit": 0, "period_seconds": 1 }), 0),
        (r#"{"limit":4,"rate_limit":{"max_concurrent":2}}"#, json!({ "limit": 4, "max_concurrent": 2 }), 4),
    ] {
        let answer = create(fields).await;
        assert_eq!(answer.status, 201, "{fields}: {}", answer.text());
        let made = answer.json();
        assert_eq!((&made["name"], &made["rate_limit"]), (&made["id"], &limit), "{fields}");
        for number in 0..5 {
            let expected = if number < admitted { good() } else { bad(429, "rate_limit_exceeded") };
            assert_eq!(node.verdict(made["key"].as_str().unwrap()).await, expected, "{fields}: {number}");
        }
    }
    for (fields, param) in [
        (r#"{"limit":-1}"#, "limit"),
        (r#"{"limit":1.5}"#, "limit"),
        (r#"{"limit":18446744073709551615}"#, "limit"),
        (r#"{"limit":1,"period":0}"#, "period"),
        (r#"{"period":60}"#, "period"),
        (r#"{"limit":1,"period":4294967296}"#, "period"),
        (r#"{"limit":1,"rate_limit":{"limit":2}}"#, "rate_limit"),
    ] {
        let answer = create(fields).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["param"]), (400, &json!(param)), "{fields}");
    }
    assert_eq!(node.admin().list().await.len(), 5);
}
