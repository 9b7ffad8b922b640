//! Paths that the gateway does not know: requests and calls at once are counted, and tokens nobody can count.

use gateway_testing::Script;
use gateway_tests::stage::{CHAT, ONE_ATTEMPT, PLAIN, Stage};

use super::scene::{TOKENS, call, listed, number, ok, reporting, request, stage_of};

async fn stage(keys: &[(&str, &str)]) -> Stage {
    stage_of(&[PLAIN, &listed(keys), "passthrough: main\n", ONE_ATTEMPT].concat()).await
}

#[tokio::test]
async fn requests_are_counted_together_with_calls() {
    let stage = stage(&[("team-a", "rate_limit: { limit: 4, period_seconds: 36000 }")]).await;
    for (method, path, body, left) in
        [("GET", "/v1/files", "", 3), ("POST", CHAT, r#"{"model":"gpt-4o"}"#, 2), ("DELETE", "/v1/files/1", "", 1)]
    {
        let answer = stage.send(request("team-a", method, path, body)).await;
        assert_eq!((answer.status.as_u16(), number(&answer, "x-ratelimit-remaining-requests")), (200, left), "{path}");
    }
    // One that fails was one.
    stage.upstream.push(Script::new().reset());
    assert_eq!(stage.send(request("team-a", "POST", "/v1/batches", "{}")).await.status, 502);
    let sent = stage.upstream.requests().len();
    let refused = stage.send(request("team-a", "GET", "/v1/files", "")).await;
    assert_eq!((refused.status.as_u16(), &*refused.error_code()), (429, "rate_limit_exceeded"));
    assert!(number(&refused, "retry-after") > 8_000);
    assert_eq!(stage.upstream.requests().len(), sent);
}

#[tokio::test]
async fn tokens_are_not_counted() {
    let stage = stage(&[("team-a", TOKENS)]).await;
    let body = r#"{"stream":true,"max_tokens":100000,"messages":[]}"#;
    for _ in 0..3 {
        stage.upstream.push(reporting(1_000, 1_000));
        let number = stage.upstream.requests().len();
        let answer = stage.send(request("team-a", "POST", "/v1/threads/runs", body)).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-remaining-tokens")), (200, "600"));
        assert_eq!(stage.upstream.request(number).await.body, body, "as it is");
        stage.access_line(answer.header("x-request-id"));
    }
    stage.upstream.push(ok());
    let answer = call(&stage, "team-a", r#"{"model":"gpt-4o","max_tokens":600}"#).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-remaining-tokens")), (200, "0"));
}

/// A key that may make no call may not make these either.
#[tokio::test]
async fn blocked_is_blocked() {
    let stage = stage(&[
        ("requests", "rate_limit: { limit: 0 }"),
        ("once", "rate_limit: { max_concurrent: 0 }"),
        ("tokens", "rate_limit: { tokens_per_minute: 0 }"),
        ("budget", "budget: { usd: 0, period: total }"),
    ])
    .await;
    for name in ["requests", "once", "tokens", "budget"] {
        let answer = stage.send(request(name, "GET", "/v1/files", "")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (429, "false"), "{name}");
    }
    stage.assert_nothing_was_sent("0");
}
