//! Keys of the configuration file beside those of the store.

use gateway_tests::administrator::{KEYS, one};
use gateway_tests::site::{STORED, Site, bad, good, verdict};
use gateway_tests::stage::CALLER_KEY;
use serde_json::json;

const FILE: &str = r#"
master_keys:
  - name: filed
    key: "${CALLER_KEY}"
    allowed_models: [gpt-4o]
    rate_limit: { requests_per_minute: 1000 }
    budget: { usd: 5, period: month }
    expires_at: 2999-01-01T00:00:00Z
  - { name: off, key: sk-off-4c1b2a, enabled: false }
"#;

#[tokio::test]
async fn they_are_listed_and_cannot_be_changed() {
    let site = Site::of(&[STORED, FILE].concat()).await;
    let node = site.start();
    let made = node.admin().create(json!({ "id": "zz", "name": "stored" })).await;
    assert_eq!((node.verdict(CALLER_KEY).await, node.verdict(&made.key).await), (good(), good()));
    let listed = node.admin().send("GET", KEYS, "").await;
    assert!(!listed.text().contains(CALLER_KEY) && !listed.text().contains("4c1b2a"), "{}", listed.text());
    let listed = listed.json()["data"].take();
    let expected = json!([{
        "id": "filed", "name": "filed", "key_preview": "sk-…e51", "allowed_models": ["gpt-4o"],
        "rate_limit": { "requests_per_minute": 1000 }, "budget": { "usd": 5.0, "period": "month" },
        "expires_at": "2999-01-01T00:00:00Z", "is_enabled": true, "metadata": {},
        "created_at": null, "updated_at": null, "last_used_at": null, "source": "file",
    }, {
        "id": "off", "name": "off", "key_preview": "…", "allowed_models": ["*"], "rate_limit": null, "budget": null,
        "expires_at": null, "is_enabled": false, "metadata": {},
        "created_at": null, "updated_at": null, "last_used_at": null, "source": "file", "weak": true,
    }]);
    assert_eq!(listed[0]["id"], "zz");
    assert_eq!(json!(listed.as_array().unwrap()[1..]), expected);
    assert_eq!(node.admin().find("filed").await, expected[0]);
    for (method, path, body) in [
        ("PATCH", one("filed"), r#"{"is_enabled":false}"#),
        ("PUT", one("filed"), r#"{"is_enabled":false}"#),
        ("DELETE", one("filed"), ""),
        ("POST", one("filed") + "/rotate", ""),
        ("PATCH", one("off"), r#"{"is_enabled":true}"#),
    ] {
        let answer = node.admin().send(method, &path, body).await;
        assert_eq!(verdict(&answer), bad(409, "read_only"), "{method} {path}");
        assert!(answer.text().contains("configuration file"), "{}", answer.text());
    }
    assert_eq!(node.verdict(CALLER_KEY).await, good());
    assert_eq!(node.verdict("sk-off-4c1b2a").await, bad(401, "disabled_api_key"));
}

#[tokio::test]
async fn neither_their_ids_nor_their_values_are_given_away() {
    let site = Site::of(&[STORED, FILE].concat()).await;
    let node = site.start();
    for (fields, code, param) in [
        (json!({ "id": "filed", "name": "x" }), "id_taken", "id"),
        (json!({ "id": "off", "name": "x" }), "id_taken", "id"),
        (json!({ "name": "x", "key": CALLER_KEY }), "key_taken", "key"),
        (json!({ "name": "x", "key": "sk-off-4c1b2a" }), "key_taken", "key"),
    ] {
        for path in [KEYS, "/api/keys"] {
            let answer = node.admin().send("POST", path, fields.to_string()).await;
            assert_eq!((verdict(&answer), answer.json()["error"]["param"].as_str()), (bad(409, code), Some(param)));
            assert!(!answer.text().contains(CALLER_KEY), "{}", answer.text());
        }
    }
    // A name is no identifier.
    node.admin().create(json!({ "name": "filed" })).await;
    assert_eq!(node.admin().list().await.len(), 3);
}

/// Whoever has the file has the last word: a key that is put into it later is the file's.
#[tokio::test]
async fn a_file_that_comes_to_hold_a_stored_key_goes_before() {
    let site = Site::new().await;
    let node = site.start();
    let own = json!({ "id": "filed", "name": "stored", "allowed_models": ["o3"] });
    let made = node.admin().create(own).await;
    let same = json!({ "id": "same", "name": "stored", "key": CALLER_KEY, "is_enabled": false });
    node.admin().create(same).await;
    assert_eq!(node.verdict(CALLER_KEY).await, bad(401, "disabled_api_key"));
    node.process.stop();
    site.folder.write("config.yaml", [STORED, FILE].concat());
    let node = site.start();
    assert_eq!(node.verdict(CALLER_KEY).await, good());
    // The stored one of the same identifier is still there, and still what it was.
    assert_eq!(node.verdict(&made.key).await, bad(403, "model_not_allowed"));
    assert_eq!(node.admin().list().await.len(), 4);
    node.admin().change("filed", json!({ "allowed_models": ["*"] })).await;
    assert_eq!(node.verdict(&made.key).await, good());
    node.admin().remove("filed").await;
    assert_eq!(node.admin().find("filed").await["source"], "file");
}
