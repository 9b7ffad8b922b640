//! A new key in the place of one, with and without time to change over.

use gateway_tests::administrator::one;
use gateway_tests::patience::until;
use gateway_tests::site::{Site, bad, good, verdict};
use jiff::Timestamp;
use serde_json::json;

#[tokio::test]
async fn both_keys_work_during_the_overlap_and_then_the_new_one() {
    let site = Site::new().await;
    let node = site.start();
    let made = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    let newer = node.admin().rotate("team", 2).await;
    assert_ne!(made.key, newer.key);
    assert_ne!(made.answer["key_preview"], newer.answer["key_preview"]);
    let end: Timestamp = newer.answer["previous_key_expires_at"].as_str().unwrap().parse().unwrap();
    let over = async || {
        let before = Timestamp::now();
        let [old, new] = [node.verdict(&made.key).await, node.verdict(&newer.key).await];
        assert_eq!(new, good());
        assert!(old != good() || before <= end, "let through at {before}, after {end}");
        assert!(old == good() || Timestamp::now() >= end, "refused before {end}");
        (old != good()).then_some(old)
    };
    let (old, _) = until("the end of the overlap", over).await;
    assert_eq!(old, bad(401, "expired_api_key"));
    assert_eq!(node.verdict(&newer.key).await, good());
}

#[tokio::test]
async fn without_an_overlap_the_old_key_is_unknown_at_once() {
    let site = Site::new().await;
    let node = site.start();
    let mut current = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    for (number, body) in ["", "{}", r#"{"overlap_secs":0}"#, r#"{"overlap_secs":null}"#].into_iter().enumerate() {
        let answer = node.admin().send("POST", "/admin/v1/master-keys/team/rotate", body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        let newer = answer.json();
        assert!(newer.get("previous_key_expires_at").is_none(), "{body}: {newer}");
        assert_eq!(node.verdict(&current.key).await, bad(401, "invalid_api_key"), "{number}");
        newer["key"].as_str().unwrap().clone_into(&mut current.key);
        assert_eq!(node.verdict(&current.key).await, good(), "{number}");
    }
}

/// Two keys are good at a time. A third is not made at the price of the first, which somebody was promised.
#[tokio::test]
async fn an_overlap_is_kept() {
    let site = Site::new().await;
    let node = site.start();
    let first = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    let second = node.admin().rotate("team", 600).await;
    let answer = node.admin().send("POST", "/admin/v1/master-keys/team/rotate", r#"{"overlap_secs":600}"#).await;
    assert_eq!(verdict(&answer), bad(409, "conflict"));
    assert!(answer.text().contains("overlap_secs"), "{}", answer.text());
    let keys = [&first.key, &second.key];
    for key in keys {
        assert_eq!(node.verdict(key).await, good());
        // A key that still belongs to somebody is nobody else's.
        let body = json!({ "name": "thief", "key": key }).to_string();
        assert_eq!(verdict(&node.admin().send("POST", "/api/keys", body).await), bad(409, "key_taken"));
    }
    // The rest of the key has not changed by all this, and what is switched off is so under both.
    node.admin().change("team", json!({ "is_enabled": false })).await;
    for key in keys {
        assert_eq!(node.verdict(key).await, bad(401, "disabled_api_key"));
    }
    node.admin().change("team", json!({ "is_enabled": true })).await;
    // Whoever is in a hurry can end both.
    let third = node.admin().rotate("team", 0).await;
    for key in keys {
        assert_eq!(node.verdict(key).await, bad(401, "invalid_api_key"));
    }
    assert_eq!(node.verdict(&third.key).await, good());
    // Once an overlap is over there is room for another, and what is over belongs to nobody.
    let fourth = node.admin().rotate("team", 1).await;
    until("the end of the overlap", async || (node.verdict(&third.key).await != good()).then_some(())).await;
    let fifth = node.admin().rotate("team", 600).await;
    assert_eq!((node.verdict(&fourth.key).await, node.verdict(&fifth.key).await), (good(), good()));
    assert_eq!(node.verdict(&third.key).await, bad(401, "invalid_api_key"));
}

/// The limits are those of the key, not of its value.
#[tokio::test]
async fn old_and_new_draw_on_the_same_limits() {
    let site = Site::new().await;
    let node = site.start();
    let limit = json!({ "limit": 4, "period_seconds": 36000 });
    let old = node.admin().create(json!({ "id": "team", "name": "team", "rate_limit": limit })).await;
    assert_eq!((node.verdict(&old.key).await, node.verdict(&old.key).await), (good(), good()));
    let new = node.admin().rotate("team", 600).await;
    assert_eq!((node.verdict(&old.key).await, node.verdict(&new.key).await), (good(), good()));
    for key in [&old.key, &new.key] {
        assert_eq!(node.verdict(key).await, bad(429, "rate_limit_exceeded"));
    }
    let newest = node.admin().rotate("team", 0).await;
    assert_eq!(node.verdict(&newest.key).await, bad(429, "rate_limit_exceeded"));
}

#[tokio::test]
async fn what_cannot_be_rotated_is_refused() {
    let site = Site::new().await;
    let node = site.start();
    let made = node.admin().create(json!({ "id": "team", "name": "team" })).await;
    for (path, body, expected) in [
        (one("nobody"), "", bad(404, "key_not_found")),
        (one("team"), r#"{"overlap_secs":-1}"#, bad(400, "invalid_value")),
        (one("team"), r#"{"overlap_secs":2592001}"#, bad(400, "invalid_value")),
        (one("team"), r#"{"overlap_secs":1e300}"#, bad(400, "invalid_value")),
        (one("team"), r#"{"overlap":1}"#, bad(400, "unknown_field")),
        (one("team"), r#"{"key":"sk-of-my-own-choice"}"#, bad(400, "unknown_field")),
        (one("team"), "[]", bad(400, "invalid_value")),
    ] {
        let answer = node.admin().send("POST", &format!("{path}/rotate"), body).await;
        assert_eq!(verdict(&answer), expected, "{path} {body}: {}", answer.text());
    }
    assert_eq!(node.verdict(&made.key).await, good());
}

/// Of many who rotate at once, each is told a key, and the last one's is good.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_rotations_is_the_last() {
    let site = Site::new().await;
    let node = site.start();
    node.admin().create(json!({ "id": "team", "name": "team" })).await;
    let admin = node.admin();
    let tasks: Vec<_> = (0..6).map(|_| tokio::spawn(async move { admin.rotate("team", 0).await })).collect();
    let mut keys = Vec::new();
    for task in tasks {
        keys.push(task.await.unwrap());
    }
    let preview = admin.find("team").await["key_preview"].clone();
    for made in keys {
        let expected = if made.answer["key_preview"] == preview { good() } else { bad(401, "invalid_api_key") };
        assert_eq!(node.verdict(&made.key).await, expected);
    }
}
