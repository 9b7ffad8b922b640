//! New keys.

use std::sync::atomic::Ordering;

use gateway_keystore::MintedKey;
use gateway_ratelimit::{BudgetPeriod, NanoUsd};
use gateway_secret::KeyDigest;
use serde_json::{Value, json};

use crate::scene::{KEYS, Scene};

#[tokio::test]
async fn a_key_is_made_and_told_once() {
    let scene = Scene::new();
    let answer = scene.call("POST", KEYS, r#"{"name": "team a"}"#).await;
    assert_eq!(answer.status.as_u16(), 201);
    let made = answer.json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(MintedKey::has_valid_checksum(key), Some(true));
    assert!(id.starts_with("key_") && id.len() == 26, "{id}");
    assert_eq!(answer.headers["location"], format!("{KEYS}/{id}"));
    let mut expected = json!({
        "id": id, "name": "team a", "key_preview": format!("{}…{}", &key[..9], &key[52..]), "allowed_models": ["*"],
        "rate_limit": null, "budget": null, "expires_at": null, "is_enabled": true, "metadata": {},
        "created_at": "2030-01-01T00:00:00.123456Z", "updated_at": "2030-01-01T00:00:00.123456Z", "last_used_at": null,
        "source": "store",
    });
    let shown = scene.get(&format!("{KEYS}/{id}")).await;
    assert_eq!((shown.status.as_u16(), shown.json()), (200, expected.clone()));
    expected["key"] = json!(key);
    assert_eq!(made, expected);
    assert_eq!(scene.store.record(id).unwrap().digest, KeyDigest::of(key.as_bytes()));
    // It is live when the call returns.
    assert_eq!(scene.node.seen.load(Ordering::Relaxed), 1);
    assert!(!scene.get(KEYS).await.text.contains(key));
    let another = scene.create(r#"{"name": "team a"}"#).await;
    assert!(another["id"] != made["id"] && another["key"] != made["key"]);
}

#[tokio::test]
async fn every_field_is_kept() {
    let scene = Scene::new();
    let made = scene
        .create(
            r#"{"id": "a.b_c-1", "key": "sk-supplied-by-admin", "name": "a", "allowed_models": ["gpt-*", "o3"],
                "rate_limit": {"requests_per_second": 5, "burst_size": 10, "requests_per_minute": 100,
                    "tokens_per_minute": 0, "max_concurrent": 3, "limit": 7, "period_seconds": 3600},
                "budget": {"usd": 0.1, "period": "month"}, "expires_at": "2031-01-01T01:00:00+01:00", "is_enabled": false,
                "metadata": {"team": {"cost": 1.5}}}"#,
        )
        .await;
    assert_eq!(made["key"], "sk-supplied-by-admin");
    assert_eq!(made["key_preview"], "sk-…in");
    assert_eq!(made["budget"], json!({"usd": 0.1, "period": "month"}));
    assert_eq!(made["expires_at"], "2031-01-01T00:00:00Z");
    assert_eq!(made["metadata"], json!({"team": {"cost": 1.5}}));
    assert_eq!((&made["is_enabled"], &made["rate_limit"]["tokens_per_minute"]), (&json!(false), &json!(0)));
    assert!(made.get("weak").is_none());
    let record = scene.store.record("a.b_c-1").unwrap();
    assert_eq!(record.digest, KeyDigest::of(b"sk-supplied-by-admin"));
    assert_eq!(record.budget.map(|it| (it.limit, it.period)), Some((NanoUsd(100_000_000), BudgetPeriod::Month)));
    assert_eq!(record.rate_limit.and_then(|it| it.period_seconds), Some(3600));
    assert_eq!(record.allowed_models, ["gpt-*", "o3"]);
}

#[tokio::test]
async fn null_is_nothing_and_nothing_is_the_default() {
    let scene = Scene::new();
    let nulls = r#"{"id": null, "key": null, "name": "a", "allowed_models": null, "rate_limit": null, "budget": null,
                    "expires_at": null, "is_enabled": null, "metadata": null}"#;
    let made = scene.create(nulls).await;
    assert_eq!((&made["allowed_models"], &made["is_enabled"]), (&json!(["*"]), &json!(true)));
    let made = scene.create(r#"{"name": "b", "allowed_models": [], "rate_limit": {}}"#).await;
    assert_eq!((&made["allowed_models"], &made["rate_limit"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_short_key_is_taken_and_called_weak() {
    let scene = Scene::new();
    let made = scene.create(r#"{"id": "w", "key": "fifteen-letters", "name": "w"}"#).await;
    assert_eq!((&made["weak"], &made["key_preview"]), (&json!(true), &json!("…")));
    assert_eq!(scene.get("/admin/v1/master-keys/w").await.json()["weak"], true);
    let made = scene.create(r#"{"key": "sixteen-letters-", "name": "s"}"#).await;
    assert!(made.get("weak").is_none());
}

#[tokio::test]
async fn what_is_unique_stays_so() {
    let scene = Scene::new();
    scene.create(r#"{"id": "a", "key": "sk-the-first-of-all", "name": "a"}"#).await;
    scene.create(r#"{"id": "another-case", "name": "x"}"#).await;
    for (body, code, param) in [
        (r#"{"id": "a", "name": "b"}"#, "id_taken", "id"),
        (r#"{"id": "another", "name": "b"}"#, "id_taken", "id"),
        (r#"{"key": "sk-the-first-of-all", "name": "b"}"#, "key_taken", "key"),
        (r#"{"key": "sk-of-the-file-000001", "name": "b"}"#, "key_taken", "key"),
    ] {
        let answer = scene.call("POST", KEYS, body).await;
        assert_eq!(answer.error(), (409, code.to_owned(), Some(param.to_owned())), "{body}");
    }
    // A key that was retired and is still good is taken as well.
    assert_eq!(
        scene.call("POST", "/admin/v1/master-keys/a/rotate", r#"{"overlap_secs": 60}"#).await.status.as_u16(),
        200
    );
    let answer = scene.call("POST", KEYS, r#"{"key": "sk-the-first-of-all", "name": "b"}"#).await;
    assert_eq!(answer.error().1, "key_taken");
    assert_eq!(scene.store.writes(), 3);
}

#[tokio::test]
async fn the_short_form_makes_the_same_keys() {
    let scene = Scene::new();
    let answer = scene.call("POST", "/api/keys", r#"{"limit": 5, "period": 10, "allowed_models": ["a"]}"#).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    let made = answer.json();
    assert_eq!(made["name"], made["id"]);
    assert_eq!(made["rate_limit"], json!({"limit": 5, "period_seconds": 10}));
    assert_eq!(made["allowed_models"], json!(["a"]));
    assert_eq!(scene.store.last_note().action, "master_key.create");
    let made = scene.call("POST", "/api/keys", "{}").await.json();
    assert!(made["key"].is_string() && made["rate_limit"].is_null());
    let both = r#"{"id": "x", "limit": 5, "rate_limit": {"tokens_per_minute": 9}}"#;
    let made = scene.call("POST", "/api/keys", both).await.json();
    assert_eq!(made["rate_limit"], json!({"limit": 5, "tokens_per_minute": 9}));
    for (body, code, param) in [
        (r#"{"limit": -1}"#, "invalid_value", "limit"),
        (r#"{"limit": 99999999999}"#, "invalid_value", "limit"),
        (r#"{"limit": 5, "period": 0}"#, "invalid_value", "period"),
        (r#"{"period": 60}"#, "invalid_value", "period"),
        (r#"{"limit": 5, "rate_limit": {"limit": 6}}"#, "invalid_value", "rate_limit"),
        (r#"{"limit": 5, "interval": 60}"#, "unknown_field", "interval"),
        (r#"{"rate_limit": {"burst_size": 1}}"#, "invalid_value", "rate_limit.burst_size"),
    ] {
        let answer = scene.call("POST", "/api/keys", body).await;
        assert_eq!(answer.error(), (400, code.to_owned(), Some(param.to_owned())), "{body}");
    }
    assert_eq!(scene.store.writes(), 3);
}

#[tokio::test]
async fn without_a_store_there_are_the_keys_of_the_file() {
    let scene = Scene::without_store();
    let refused = scene.call("POST", KEYS, r#"{"name": "a"}"#).await;
    assert_eq!(refused.error(), (409, "no_store".to_owned(), None));
    assert!(refused.text.contains("DB_URL"));
    assert_eq!(scene.get(KEYS).await.json()["data"].as_array().unwrap().len(), 2);
    assert_eq!(scene.call("DELETE", &format!("{KEYS}/another"), "").await.error().1, "read_only");
    assert_eq!(scene.call("DELETE", &format!("{KEYS}/a"), "").await.error().1, "key_not_found");
    assert_eq!(scene.get("/admin/v1/audit").await.json(), json!({"data": [], "next_before": null}));
}
