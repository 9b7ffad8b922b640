//! Whose limits they are: each key has its own, and those that may not be used have none to spend.

use gateway_testing::client;
use gateway_tests::refusal::refusal;
use gateway_tests::stage::{CALL, CALLER_KEY, CHAT, authorized, with_header};

use super::scene::{TOKENS, asking, call, key, number, request, settled, stage};

const THREE: &str = "rate_limit: { limit: 3, period_seconds: 36000 }";

#[tokio::test]
async fn keys_do_not_share_limits() {
    let stage = stage(&[("team-a", THREE), ("team-b", THREE)]).await;
    for _ in 0..3 {
        assert_eq!(call(&stage, "team-a", CALL).await.status, 200);
    }
    assert_eq!(call(&stage, "team-a", CALL).await.status, 429);
    let other = call(&stage, "team-b", CALL).await;
    assert_eq!((other.status.as_u16(), number(&other, "x-ratelimit-remaining-requests")), (200, 2));
    // Nor with the key that has none.
    let free = stage.post(CHAT, CALL).await;
    assert_eq!((free.status.as_u16(), free.header("x-ratelimit-remaining-requests")), (200, ""));
}

/// Wherever a key stands in the request, it is the same one.
#[tokio::test]
async fn a_key_is_one_wherever_it_stands() {
    let stage = stage(&[("team-a", THREE)]).await;
    for (name, value, left) in [
        ("authorization", format!("Bearer {}", key("team-a")), 2),
        ("x-api-key", key("team-a"), 1),
        ("api-key", key("team-a"), 0),
    ] {
        let answer = stage.send(with_header(client::request("POST", CHAT, CALL), name, &value)).await;
        assert_eq!((answer.status.as_u16(), number(&answer, "x-ratelimit-remaining-requests")), (200, left), "{name}");
    }
    // One of them by another path.
    assert_eq!(stage.send(request("team-a", "POST", "/api/llm", CALL)).await.status, 429);
}

#[tokio::test]
async fn keys_that_are_over_or_off_are_refused_as_such() {
    let stage = stage(&[
        ("over", "expires_at: 2020-02-29T23:59:59Z"),
        ("offset", "expires_at: 2020-01-01T00:00:00+02:00, rate_limit: { limit: 0 }"),
        ("off", "enabled: false"),
        ("off-and-over", "enabled: false, expires_at: 2020-01-01T00:00:00Z"),
        ("on", "enabled: true, expires_at: 2999-01-01T00:00:00Z"),
    ])
    .await;
    let expired = "The API key has expired. Use another, or ask this gateway's administrator for one.";
    let disabled = "The API key is disabled. Use another, or ask this gateway's administrator to enable it.";
    for (name, code, message) in [
        ("over", "expired_api_key", expired),
        ("offset", "expired_api_key", expired),
        ("off", "disabled_api_key", disabled),
        ("off-and-over", "disabled_api_key", disabled),
    ] {
        for (method, path, body) in [("POST", CHAT, CALL), ("GET", "/v1/models", ""), ("POST", CHAT, "{")] {
            let answer = stage.send(request(name, method, path, body)).await;
            let expected = refusal("authentication_error", code, "", message);
            assert_eq!((answer.status.as_u16(), answer.text()), (401, expected), "{name} {path}");
            assert_eq!(answer.header("x-ratelimit-limit-requests"), "", "{name}");
        }
    }
    stage.assert_nothing_was_sent("not in force");
    assert_eq!(call(&stage, "on", CALL).await.status, 200);
}

/// No answer to a key without limits mentions any, and no request that is not for a stream is other than it was.
#[tokio::test]
async fn keys_without_limits_are_told_of_none() {
    let stage = stage(&[("free", "rate_limit: {}"), ("counted", TOKENS)]).await;
    let body = r#"{ "stream" : false , "model" : "gpt-4o" }"#;
    for request in [request("free", "POST", CHAT, body), authorized("POST", CHAT, body)] {
        let number = stage.upstream.requests().len();
        let answer = stage.send(request).await;
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("x-ratelimit")), "{:?}", answer.headers);
        assert_eq!(stage.upstream.request(number).await.body, body.replace("gpt-4o", "gpt-4o-2024"));
    }
    let counted = settled(&stage, "counted", asking(5)).await;
    assert_eq!(number(&counted, "x-ratelimit-remaining-tokens"), 595);
    assert!(!counted.text().contains(CALLER_KEY) && !counted.text().contains(&key("counted")));
}
