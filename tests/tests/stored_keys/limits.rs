//! The limits of stored keys, which outlive changes to everything else.

use std::time::Duration;

use gateway_testing::{Answer, Gate, Script};
use gateway_tests::site::{Node, Site, bad, calling, good, verdict};
use gateway_tests::stage::CALL;
use gateway_tests::stream::Events;
use serde_json::json;
use tokio::time::sleep;

fn left(answer: &Answer) -> u64 {
    let left = answer.header("x-ratelimit-remaining-requests");
    left.parse().unwrap_or_else(|_| panic!("{left:?}: {} {}", answer.status, answer.text()))
}

async fn refused(node: &Node, key: &str) -> Answer {
    for _ in 0..100 {
        let answer = node.call(key).await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("never refused");
}

#[tokio::test]
async fn who_waits_as_long_as_told_is_let_through() {
    let site = Site::new().await;
    let node = site.start();
    let limit = json!({ "requests_per_second": 2, "burst_size": 1 });
    let made = node.admin().create(json!({ "name": "team", "rate_limit": limit })).await;
    for number in 0..3 {
        let answer = refused(&node, &made.key).await;
        assert_eq!(verdict(&answer), bad(429, "rate_limit_exceeded"));
        let wait: u64 = answer.header("retry-after-ms").parse().unwrap();
        assert!(wait <= 500, "{wait}");
        sleep(Duration::from_millis(wait)).await;
        assert_eq!(node.verdict(&made.key).await, good(), "{number}: after {wait} ms");
    }
}

#[tokio::test]
async fn what_is_used_stays_used_when_something_else_changes() {
    let site = Site::new().await;
    let node = site.start();
    let limit = json!({ "limit": 10, "period_seconds": 36000 });
    let made = node.admin().create(json!({ "id": "team", "name": "team", "rate_limit": limit })).await;
    let mut expected = 10;
    for change in [
        json!({}),
        json!({ "name": "other" }),
        json!({ "metadata": { "a": 1 } }),
        json!({ "allowed_models": ["gpt-4o"] }),
        json!({ "expires_at": "2999-01-01T00:00:00Z" }),
        json!({ "budget": { "usd": 100.0, "period": "day" } }),
        json!({ "is_enabled": true }),
        // The same limit again.
        json!({ "rate_limit": limit }),
    ] {
        node.admin().change("team", change.clone()).await;
        let answer = node.call(&made.key).await;
        expected -= 1;
        assert_eq!((verdict(&answer), left(&answer)), (good(), expected), "{change}");
    }
    // A higher limit is so much more. Nothing may be left of a lower one, and what it refuses changes nothing.
    for (limit, is_let_through, expected) in
        [(20, true, 11), (9, false, 0), (5, false, 0), (7, false, 0), (10, true, 0)]
    {
        node.admin().change("team", json!({ "rate_limit": { "limit": limit, "period_seconds": 36000 } })).await;
        let answer = node.call(&made.key).await;
        let found = (answer.status == 200, left(&answer));
        assert_eq!(found, (is_let_through, expected), "{limit}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_are_counted_across_a_change() {
    let site = Site::new().await;
    let node = site.start();
    let limit = json!({ "max_concurrent": 1 });
    let made = node.admin().create(json!({ "id": "team", "name": "team", "rate_limit": limit })).await;
    let gate = Gate::new();
    let event = r#"{"choices":[{"delta":{"content":"x"}}]}"#;
    site.upstream.push(Script::event_stream().event(event).wait(&gate).event("[DONE]").end_chunks());
    let body = r#"{"model":"gpt-4o","stream":true}"#;
    let mut stream = Events::of(node.process.address(), calling(&made.key, body)).await;
    assert!(stream.next().await.is_some());
    for change in [json!({ "name": "other" }), json!({ "rate_limit": { "max_concurrent": 1, "limit": 100 } })] {
        node.admin().change("team", change.clone()).await;
        assert_eq!(node.verdict(&made.key).await, bad(429, "concurrency_limit_exceeded"), "{change}");
    }
    let newer = node.admin().rotate("team", 600).await;
    assert_eq!(node.verdict(&newer.key).await, bad(429, "concurrency_limit_exceeded"));
    node.admin().change("team", json!({ "rate_limit": { "max_concurrent": 2 } })).await;
    assert_eq!(node.verdict(&newer.key).await, good());
    // Whoever is served goes on, even with a key that has ended meanwhile.
    node.admin().remove("team").await;
    assert_eq!(node.verdict(&newer.key).await, bad(401, "invalid_api_key"));
    gate.open();
    assert_eq!(stream.rest().await.last().map(String::as_str), Some("data: [DONE]\n\n"));
}

/// Keys have limits each of their own, also when they are many.
#[tokio::test]
async fn keys_do_not_share_limits() {
    let site = Site::new().await;
    let node = site.start();
    let limit = json!({ "limit": 1, "period_seconds": 36000 });
    let mut keys = Vec::new();
    for number in 0..20 {
        keys.push(node.admin().create(json!({ "name": number.to_string(), "rate_limit": limit })).await.key);
    }
    for expected in [good(), bad(429, "rate_limit_exceeded")] {
        for key in &keys {
            assert_eq!(verdict(&node.send(calling(key, CALL)).await), expected);
        }
    }
}
