//! Paths that the gateway does not know: requests and calls at once are counted, and tokens nobody can count.

use gateway_testing::{Gate, Script};
use gateway_tests::stage::{CALL, CHAT, ONE_ATTEMPT, PLAIN, Stage};

use super::scene::{TOKENS, listed, number, request, spawn, stage_of};

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

/// Nobody sees what such a call takes, whatever its path turns out to mean to the provider.
#[tokio::test]
async fn a_key_whose_tokens_or_money_count_passes_nothing_through() {
    let stage = stage(&[("team-a", TOKENS), ("team-b", "budget: { usd: 1, period: day }")]).await;
    let body = r#"{"model":"gpt-4o","max_tokens":100000,"messages":[]}"#;
    for name in ["team-a", "team-b"] {
        for path in ["/v1/threads/runs", "/v1/chat/%63ompletions", "/v1/Chat/Completions"] {
            let answer = stage.send(request(name, "POST", path, body)).await;
            assert_eq!((answer.status.as_u16(), &*answer.error_code()), (403, "model_not_allowed"), "{name} {path}");
        }
    }
    stage.assert_nothing_was_sent("uncounted");
}

/// A key that may make no call may not make these either.
#[tokio::test]
async fn blocked_is_blocked() {
    let stage = stage(&[("requests", "rate_limit: { limit: 0 }"), ("once", "rate_limit: { max_concurrent: 0 }")]).await;
    for name in ["requests", "once"] {
        let answer = stage.send(request(name, "GET", "/v1/files", "")).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (429, "false"), "{name}");
    }
    stage.assert_nothing_was_sent("0");
}

/// It is refused by its head, and neither stands in line nor takes a place.
#[tokio::test(flavor = "multi_thread")]
async fn used_up_is_used_up_where_there_is_no_room() {
    let limited = "rate_limit: { limit: 1, period_seconds: 7200 }";
    let keys = listed(&[("used-up", limited), ("blocked", "rate_limit: { limit: 0 }"), ("other", TOKENS)]);
    let sections = "passthrough: main\nserver: { max_in_flight: 1, queue: { size: 0 } }\n";
    let stage = stage_of(&[PLAIN, &keys, sections, ONE_ATTEMPT].concat()).await;
    let files = |name| stage.send(request(name, "GET", "/v1/files", ""));
    let first = files("used-up").await;
    assert_eq!(first.status, 200);
    stage.access_line(first.header("x-request-id"));
    let gate = Gate::new();
    stage.upstream.push(Script::new().wait(&gate).answer(200, "application/json", "{}"));
    let held = spawn(&stage, "other", CALL);
    stage.upstream.request(1).await;
    for name in ["used-up", "blocked"] {
        let refused = files(name).await;
        assert_eq!((refused.status.as_u16(), &*refused.error_code()), (429, "rate_limit_exceeded"), "{name}");
    }
    gate.open();
    assert_eq!(held.await.unwrap().status, 200);
}
