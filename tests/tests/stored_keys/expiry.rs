//! Keys whose time is over.

use std::time::Duration;

use gateway_tests::patience::until;
use gateway_tests::site::{Site, bad, good};
use jiff::Timestamp;
use serde_json::json;

fn in_(duration: Duration) -> Timestamp {
    // As the store keeps it.
    Timestamp::from_microsecond((Timestamp::now() + duration).as_microsecond()).unwrap()
}

#[tokio::test]
async fn a_key_expires_when_it_was_said_to() {
    let site = Site::new().await;
    let node = site.start();
    let end = in_(Duration::from_millis(1500));
    let made = node.admin().create(json!({ "name": "brief", "expires_at": end.to_string() })).await;
    assert_eq!(node.verdict(&made.key).await, good());
    let over = async || {
        let before = Timestamp::now();
        let verdict = node.verdict(&made.key).await;
        if verdict == good() {
            assert!(before <= end, "let through at {before}, after {end}");
            return None;
        }
        assert!(Timestamp::now() >= end, "refused before {end}");
        Some(verdict)
    };
    let (verdict, _) = until("the end of a key", over).await;
    assert_eq!(verdict, bad(401, "expired_api_key"));
    assert_eq!(node.admin().find(&made.id).await["expires_at"], end.to_string());
    // It can be given more time, and all the time there is.
    node.admin().change(&made.id, json!({ "expires_at": in_(Duration::from_hours(1)).to_string() })).await;
    assert_eq!(node.verdict(&made.key).await, good());
    node.admin().change(&made.id, json!({ "expires_at": null })).await;
    assert_eq!(node.verdict(&made.key).await, good());
}

/// What has expired stays so across a restart, and is told so rather than unknown.
#[tokio::test]
async fn an_expired_key_stays_expired() {
    let site = Site::new().await;
    let node = site.start();
    let end = in_(Duration::from_millis(300)).to_string();
    let made = node.admin().create(json!({ "name": "brief", "expires_at": end })).await;
    until("the end of a key", async || (node.verdict(&made.key).await != good()).then_some(())).await;
    node.process.stop();
    let node = site.start();
    assert_eq!(node.verdict(&made.key).await, bad(401, "expired_api_key"));
    // Being off counts more, and is what an administrator can do something about.
    node.admin().change(&made.id, json!({ "is_enabled": false })).await;
    assert_eq!(node.verdict(&made.key).await.0, 401);
}
