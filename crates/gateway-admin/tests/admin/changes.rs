//! Keys that change, are rotated, and end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gateway_keystore::KeyRecord;
use gateway_ratelimit::RateLimit;
use gateway_secret::KeyDigest;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::scene::{KEYS, Scene};

const A: &str = "/admin/v1/master-keys/a";

async fn scene() -> Scene {
    let scene = Scene::new();
    scene
        .create(
            r#"{"id": "a", "key": "sk-the-first-of-all", "name": "a", "allowed_models": ["x"],
                "rate_limit": {"requests_per_second": 5, "burst_size": 9}, "budget": {"usd": 3, "period": "day"},
                "expires_at": "2031-01-01T00:00:00Z", "metadata": {"n": 1}}"#,
        )
        .await;
    scene
}

#[tokio::test]
async fn what_is_given_changes_and_the_rest_stays() {
    let mut expected = scene().await.get(A).await.json();
    expected["updated_at"] = json!("2030-01-01T00:01:00.123456Z");
    for method in ["PUT", "PATCH"] {
        for (body, field, value) in [
            (r#"{"name": "b"}"#, "name", json!("b")),
            (r#"{"allowed_models": []}"#, "allowed_models", json!([])),
            (
                r#"{"rate_limit": {"requests_per_minute": 1, "requests_per_second": 6}}"#,
                "rate_limit",
                json!({"requests_per_minute": 1, "requests_per_second": 6, "burst_size": 9}),
            ),
            (r#"{"rate_limit": {"burst_size": null}}"#, "rate_limit", json!({"requests_per_second": 5})),
            (r#"{"rate_limit": null}"#, "rate_limit", Value::Null),
            (r#"{"rate_limit": {"requests_per_second": null}}"#, "rate_limit", Value::Null),
            (r#"{"budget": {"usd": 0, "period": "total"}}"#, "budget", json!({"usd": 0.0, "period": "total"})),
            (r#"{"budget": null}"#, "budget", Value::Null),
            (r#"{"expires_at": "2032-01-01T00:00:00Z"}"#, "expires_at", json!("2032-01-01T00:00:00Z")),
            (r#"{"expires_at": null}"#, "expires_at", Value::Null),
            (r#"{"is_enabled": false}"#, "is_enabled", json!(false)),
            (r#"{"metadata": {"m": 2}}"#, "metadata", json!({"m": 2})),
            (r#"{"metadata": null}"#, "metadata", json!({})),
        ] {
            let scene = scene().await;
            scene.clock.second.fetch_add(60, Ordering::Relaxed);
            let answer = scene.call(method, A, body).await;
            let mut expected = expected.clone();
            expected[field] = value;
            assert_eq!((answer.status.as_u16(), answer.json()), (200, expected.clone()), "{body}");
            assert_eq!(scene.get(A).await.json(), expected);
            assert_eq!(scene.node.seen.load(Ordering::Relaxed), 2);
        }
    }
}

#[tokio::test]
async fn a_change_of_nothing_is_none() {
    let scene = scene().await;
    let before = scene.get(A).await.json();
    scene.clock.second.fetch_add(60, Ordering::Relaxed);
    for body in ["{}", r#"{"name": "a", "is_enabled": true}"#] {
        let answer = scene.call("PATCH", A, body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, before.clone()));
    }
    assert_eq!(scene.store.writes(), 1);
}

#[tokio::test]
async fn what_was_broken_by_hand_can_be_switched_off_and_mended() {
    let scene = scene().await;
    let senseless = RateLimit { burst_size: Some(1), ..RateLimit::default() };
    let record = scene.store.record("a").unwrap();
    scene.store.put(KeyRecord { rate_limit: Some(senseless), metadata: "no JSON".to_owned(), ..record });
    assert_eq!(scene.get(A).await.json()["metadata"], "no JSON");
    assert_eq!(scene.call("PATCH", A, r#"{"is_enabled": false}"#).await.status.as_u16(), 200);
    let answer = scene.call("PATCH", A, r#"{"budget": null}"#).await;
    assert_eq!(answer.error().2.as_deref(), Some("rate_limit.burst_size"));
    assert_eq!(scene.call("PATCH", A, r#"{"rate_limit": null}"#).await.status.as_u16(), 200);
}

#[tokio::test]
async fn an_expired_key_can_be_changed() {
    let scene = scene().await;
    scene.clock.second.fetch_add(2 * 366 * 86_400, Ordering::Relaxed);
    assert_eq!(scene.call("PATCH", A, r#"{"name": "late"}"#).await.status.as_u16(), 200);
    assert_eq!(scene.call("PATCH", A, r#"{"expires_at": null}"#).await.status.as_u16(), 200);
}

#[tokio::test]
async fn keys_of_the_file_and_keys_that_are_not_there_cannot_be_changed() {
    let scene = scene().await;
    for (id, status, code) in [("from%20the%20file", 409, "read_only"), ("nobody", 404, "key_not_found")] {
        for (method, path) in [
            ("PUT", format!("{KEYS}/{id}")),
            ("PATCH", format!("{KEYS}/{id}")),
            ("DELETE", format!("{KEYS}/{id}")),
            ("POST", format!("{KEYS}/{id}/rotate")),
        ] {
            let answer = scene.call(method, &path, "{}").await;
            assert_eq!(answer.error(), (status, code.to_owned(), None), "{method} {path}");
        }
    }
    assert_eq!(scene.store.writes(), 1);
    let shown = scene.get(&format!("{KEYS}/from%20the%20file")).await.json();
    assert_eq!((&shown["source"], &shown["key_preview"]), (&json!("file"), &json!("sk-…01")));
    assert_eq!(scene.get(&format!("{KEYS}/nobody")).await.error(), (404, "key_not_found".to_owned(), None));
}

#[tokio::test]
async fn two_changes_at_once_lose_nothing() {
    let scene = scene().await;
    *scene.store.meeting.lock() = Some(Arc::new(Barrier::new(2)));
    let (one, other) =
        tokio::join!(scene.call("PATCH", A, r#"{"name": "b"}"#), scene.call("PATCH", A, r#"{"is_enabled": false}"#));
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
    let shown = scene.get(A).await.json();
    assert_eq!((&shown["name"], &shown["is_enabled"]), (&json!("b"), &json!(false)));
    assert_eq!((scene.store.writes(), scene.store.record("a").unwrap().revision), (3, 3));
}

#[tokio::test]
async fn who_always_comes_second_is_told() {
    let scene = scene().await;
    scene.store.stale_writes.store(3, Ordering::Relaxed);
    assert_eq!(scene.call("PATCH", A, r#"{"name": "b"}"#).await.status.as_u16(), 200);
    scene.store.stale_writes.store(1000, Ordering::Relaxed);
    assert_eq!(scene.call("PATCH", A, r#"{"name": "c"}"#).await.error(), (409, "conflict".to_owned(), None));
    assert_eq!(&*scene.store.record("a").unwrap().name, "b");
    // The few tries end.
    assert!(scene.store.stale_writes.load(Ordering::Relaxed) > 980);
}

#[tokio::test]
async fn a_rotated_key_overlaps_with_the_one_before() {
    let scene = scene().await;
    let answer = scene.call("POST", &format!("{A}/rotate"), r#"{"overlap_secs": 3600}"#).await;
    assert_eq!(answer.status.as_u16(), 200);
    let rotated = answer.json();
    let key = rotated["key"].as_str().unwrap();
    assert!(key.starts_with("sk-gw-") && rotated["id"] == "a" && rotated["budget"]["usd"] == 3.0);
    assert_eq!(rotated["previous_key_expires_at"], "2030-01-01T01:00:00.123456Z");
    let record = scene.store.record("a").unwrap();
    assert_eq!(record.digest, KeyDigest::of(key.as_bytes()));
    assert_eq!(record.previous.map(|it| it.digest), Some(KeyDigest::of(b"sk-the-first-of-all")));
    // Without an overlap, and without a body at all, what was before is over.
    let mut bare = crate::scene::request("POST", &format!("{A}/rotate"), "");
    bare.headers_mut().remove("content-type");
    let again = scene.send(bare).await.json();
    assert!(again["key"] != rotated["key"] && again.get("previous_key_expires_at").is_none());
    assert_eq!(scene.store.record("a").unwrap().previous, None);
    assert!(!scene.get(A).await.text.contains(again["key"].as_str().unwrap()));
}

#[tokio::test]
async fn a_key_ends_once() {
    let scene = scene().await;
    let answer = scene.call("DELETE", A, "").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    assert_eq!(scene.node.seen.load(Ordering::Relaxed), 2);
    assert_eq!(scene.call("DELETE", A, "").await.error(), (404, "key_not_found".to_owned(), None));
    assert_eq!(scene.get(A).await.status.as_u16(), 404);
    // The identifier is free again.
    scene.create(r#"{"id": "a", "key": "sk-the-first-of-all", "name": "again"}"#).await;
}

#[tokio::test]
async fn a_promised_overlap_is_kept_and_a_rotation_without_one_ends_everything() {
    let scene = Scene::new();
    scene.create(r#"{"id": "a", "name": "a"}"#).await;
    let rotate = |body: &'static str| scene.call("POST", "/admin/v1/master-keys/a/rotate", body);
    let first = rotate(r#"{"overlap_secs": 3600}"#).await.json();
    let refused = rotate(r#"{"overlap_secs": 60}"#).await;
    assert_eq!(refused.error(), (409, "conflict".to_owned(), None));
    let now = scene.get("/admin/v1/master-keys/a").await.json();
    assert_eq!(now["previous_key_expires_at"], first["previous_key_expires_at"]);
    assert!(rotate(r#"{"overlap_secs": 0}"#).await.json().get("previous_key_expires_at").is_none());
}

#[tokio::test]
async fn a_damaged_key_can_be_deleted_and_nothing_else() {
    let scene = scene().await;
    scene.create(r#"{"id": "b", "name": "b"}"#).await;
    scene.store.damage("a");
    for (method, path, body) in [
        ("GET", A, ""),
        ("PATCH", A, r#"{"is_enabled": false}"#),
        ("PUT", A, r#"{"name": "b"}"#),
        ("POST", "/admin/v1/master-keys/a/rotate", ""),
    ] {
        let answer = scene.call(method, path, body).await;
        assert_eq!(answer.error(), (500, "key_damaged".to_owned(), None), "{method} {path}");
        for words in ["`a`", "rate_limit: has to be a JSON object", "Delete it"] {
            assert!(answer.text.contains(words), "{words}: {}", answer.text);
        }
    }
    let listed = scene.get(KEYS).await.json();
    let ids: Vec<_> = listed["data"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["b", "another", "from the file"]);
    assert_eq!(scene.call("DELETE", A, "").await.status.as_u16(), 204);
    let note = scene.store.last_note();
    assert_eq!((note.action.as_str(), note.object.as_str(), note.after), ("master_key.delete", "a", None));
    let before: Value = serde_json::from_str(&note.before.unwrap()).unwrap();
    assert_eq!(before, json!({"id": "a", "damaged": "rate_limit: has to be a JSON object"}));
    assert_eq!(scene.get(A).await.status.as_u16(), 404);
    scene.create(r#"{"id": "a", "name": "again"}"#).await;
}
