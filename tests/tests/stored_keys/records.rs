//! What is noted of keys: when they were last used, and who did what to them.

use gateway_tests::administrator::{AUDIT, KEYS, one};
use gateway_tests::patience::until;
use gateway_tests::site::{Site, bad, good};
use jiff::Timestamp;
use serde_json::{Value, json};

fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no time: {value}"))
}

#[tokio::test]
async fn it_is_noted_when_a_key_was_last_used() {
    let site = Site::new().await;
    let node = site.start();
    let used = node.admin().create(json!({ "id": "used", "name": "x" })).await;
    node.admin().create(json!({ "id": "unused", "name": "x" })).await;
    let updated_at = node.admin().find("used").await["updated_at"].clone();
    let before = Timestamp::now();
    assert_eq!(node.verdict(&used.key).await, good());
    let noted = async || {
        let noted = node.admin().find("used").await["last_used_at"].take();
        (!noted.is_null()).then_some(noted)
    };
    let (noted, took) = until("a key's use to be noted", noted).await;
    println!("noted after {took:?}");
    assert!((before..=Timestamp::now()).contains(&time(&noted)), "{noted} is not after {before}");
    let found = node.admin().find("used").await;
    assert_eq!(found["updated_at"], updated_at, "to be used is no change");
    assert_eq!(node.admin().find("unused").await["last_used_at"], Value::Null);
    // It survives changes and a restart, and is no matter of the audit log.
    node.admin().change("used", json!({ "name": "y" })).await;
    node.admin().rotate("used", 0).await;
    assert_eq!(node.admin().find("used").await["last_used_at"], noted);
    node.process.stop();
    let node = site.start();
    assert_eq!(node.admin().find("used").await["last_used_at"], noted);
    assert_eq!(node.admin().audit().await.len(), 4);
}

#[tokio::test]
async fn it_is_written_who_did_what() {
    let site = Site::new().await;
    let node = site.start();
    let before = Timestamp::now();
    let made =
        node.admin().create(json!({ "id": "team", "name": "one", "budget": { "usd": 1.5, "period": "day" } })).await;
    node.admin().change("team", json!({ "name": "two", "budget": null })).await;
    let newer = node.admin().rotate("team", 60).await;
    // What changes nothing and what is refused is not written.
    node.admin().change("team", json!({ "name": "two" })).await;
    node.admin().send("PATCH", &one("team"), r#"{"name":""}"#).await;
    node.admin().send("POST", KEYS, r#"{"id":"team","name":"x"}"#).await;
    node.admin().send("DELETE", &one("nobody"), "").await;
    node.admin().remove("team").await;
    assert_eq!(site.run(&["keys", "create", "--name", "shell", "--id", "by-hand"]).code, Some(0));

    let entries = node.admin().audit().await;
    let told: Vec<_> = entries.iter().map(|entry| [&entry["actor"], &entry["action"], &entry["object"]]).collect();
    assert_eq!(
        json!(told),
        json!([
            ["cli", "master_key.create", "by-hand"],
            ["admin", "master_key.delete", "team"],
            ["admin", "master_key.rotate", "team"],
            ["admin", "master_key.update", "team"],
            ["admin", "master_key.create", "team"],
        ])
    );
    let [_, deleted, rotated, updated, created] = &entries[..] else { unreachable!() };
    let field = |name: &str| {
        let of = |entry: &Value| json!([entry["before"][name], entry["after"][name]]);
        json!([of(created), of(updated), of(rotated), of(deleted)])
    };
    assert_eq!(field("name"), json!([[null, "one"], ["one", "two"], ["two", "two"], ["two", null]]));
    let budget = json!({ "usd": 1.5, "period": "day" });
    assert_eq!(field("budget"), json!([[null, budget], [budget, null], [null, null], [null, null]]));
    let [first, second] = [&made.answer["key_preview"], &newer.answer["key_preview"]];
    assert_eq!(field("key_preview"), json!([[null, first], [first, first], [first, second], [second, null]]));
    assert!(created["before"].is_null() && deleted["after"].is_null());
    // In order, in their time, and in pages.
    for pair in entries.windows(2) {
        assert!(pair[0]["number"].as_i64() > pair[1]["number"].as_i64(), "{pair:?}");
        assert!(time(&pair[0]["at"]) >= time(&pair[1]["at"]), "{pair:?}");
    }
    assert!(time(&created["at"]) >= before.round(jiff::Unit::Second).unwrap() - jiff::SignedDuration::from_secs(1));
    for limit in [1, 2, 4, 5] {
        assert_eq!(node.admin().pages(AUDIT, "before", limit).await, entries, "{limit} at once");
    }
}

#[tokio::test]
async fn the_audit_log_cannot_be_changed() {
    let site = Site::new().await;
    let node = site.start();
    node.admin().create(json!({ "name": "x" })).await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = node.admin().send(method, AUDIT, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET"), "{method}");
    }
    for query in ["?before=x", "?before=1&before=2", "?limit=0", "?limit=1001", "?after=1", "?before=1%20OR%201=1"] {
        let answer = node.admin().send("GET", &format!("{AUDIT}{query}"), "").await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
    assert_eq!(node.admin().audit().await.len(), 1);
    assert_eq!(node.verdict("sk-gw-nobody").await, bad(401, "invalid_api_key"));
}
