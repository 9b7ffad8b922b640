//! A limit that is used up, as its caller is told: what is in the way, and when to come again.

use std::time::Duration;

use gateway_testing::{Answer, Gate, Script};
use gateway_tests::refusal::refusal;
use gateway_tests::stage::CALL;

use super::scene::{asking, call, duration, number, reporting, settled, spawn, stage, told};

/// What the caller is told of a limit of requests that is used up.
fn used_up(limit: &str) -> String {
    format!("The API key's limit of {limit} is used up.")
}

/// Panics unless a refusal tells of a limit, and of a wait of at most so long, in every way that there is and alike.
fn assert_refused(row: &str, answer: &Answer, problem: &str, longest: Duration) {
    assert_eq!(answer.status, 429, "{row}: {}", answer.text());
    let millis = number(answer, "retry-after-ms");
    let wait = Duration::from_millis(millis);
    let message = format!("{problem} Try again in {} s.", wait.as_secs_f64());
    assert_eq!(answer.text(), refusal("rate_limit_error", "rate_limit_exceeded", "", &message), "{row}");
    assert_eq!(number(answer, "retry-after"), millis.div_ceil(1000), "{row}");
    assert!(wait <= longest && !wait.is_zero(), "{row}: {wait:?}");
    assert_eq!(answer.header("content-type"), "application/json", "{row}");
    assert_eq!(answer.header("x-should-retry"), "", "{row}: it is worth it");
}

/// The limits here let nothing through again for minutes, so that their numbers are exact.
#[tokio::test]
async fn requests_beyond_a_limit_are_refused() {
    let rows = [
        ("minute", "requests_per_minute: 2", "2 requests a minute", Duration::from_secs(30)),
        ("period", "limit: 2, period_seconds: 7200", "2 requests in 7200 s", Duration::from_hours(1)),
        // The one that lets something through last is the one to wait for.
        (
            "both",
            "requests_per_minute: 2, limit: 2, period_seconds: 7200",
            "2 requests in 7200 s",
            Duration::from_hours(1),
        ),
        (
            "long",
            "limit: 1000, period_seconds: 31622400, requests_per_minute: 2",
            "2 requests a minute",
            Duration::from_secs(30),
        ),
    ];
    let keys = rows.map(|(name, limits, ..)| (name, format!("rate_limit: {{ {limits} }}")));
    let stage = stage(&keys.each_ref().map(|(name, fields)| (*name, fields.as_str()))).await;
    for (name, _, limit, longest) in rows {
        for _ in 0..2 {
            assert_eq!(call(&stage, name, CALL).await.status, 200, "{name}");
        }
        let sent = stage.upstream.requests().len();
        let refused = call(&stage, name, CALL).await;
        assert_refused(name, &refused, &used_up(limit), longest);
        assert!(number(&refused, "retry-after-ms") > 1000, "{name}: {:?}", refused.headers);
        assert_eq!(number(&refused, "x-ratelimit-remaining-requests"), 0, "{name}");
        assert!(duration(&refused, "x-ratelimit-reset-requests") <= 2 * longest, "{name}: {:?}", refused.headers);
        assert_eq!(stage.upstream.requests().len(), sent, "{name}");
    }
}

/// However long it takes: no more than the burst and what has come back since, and no less than the burst.
#[tokio::test]
async fn a_second_has_its_burst_and_its_rate() {
    let rows = [
        ("rate", "rate_limit: { requests_per_second: 3 }", "3 requests a second", (3, 3)),
        ("burst", "rate_limit: { requests_per_second: 1, burst_size: 6 }", "1 request a second", (1, 6)),
        ("narrow", "rate_limit: { requests_per_second: 5, burst_size: 1 }", "5 requests a second", (5, 1)),
    ];
    let stage = stage(&rows.map(|(name, limits, ..)| (name, limits))).await;
    for (name, _, limit, (rate, burst)) in rows {
        let began = tokio::time::Instant::now();
        let calls: Vec<_> = (0..20).map(|_| spawn(&stage, name, CALL)).collect();
        let mut admitted = 0;
        for call in calls {
            let answer = call.await.unwrap();
            if answer.status == 200 {
                admitted += 1;
            } else {
                assert_refused(name, &answer, &used_up(limit), Duration::from_secs(1));
                assert_eq!(number(&answer, "x-ratelimit-limit-requests"), burst, "{name}");
            }
        }
        let most = burst + (began.elapsed().as_secs() + 1) * rate;
        assert!((burst..=most).contains(&admitted), "{name}: {admitted} of 20 in {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn tokens_beyond_a_limit_are_refused() {
    let stage = stage(&[("team-a", "rate_limit: { tokens_per_minute: 600, requests_per_minute: 600 }")]).await;
    stage.upstream.push(reporting(100, 500));
    assert_eq!(settled(&stage, "team-a", asking(600)).await.status, 200);
    let refused = call(&stage, "team-a", asking(300)).await;
    let problem = "The API key may not use as many tokens as this.";
    assert_refused("tokens", &refused, problem, Duration::from_secs(30));
    assert!(number(&refused, "retry-after-ms") > 10_000, "300 of 600 tokens take half a minute");
    assert_eq!(number(&refused, "x-ratelimit-limit-tokens"), 600);
    assert!(number(&refused, "x-ratelimit-remaining-tokens") < 300);
    assert!(duration(&refused, "x-ratelimit-reset-tokens") > Duration::from_secs(30));
    // It is one of the two limits that is in the way, and the caller is told of both.
    assert!(number(&refused, "x-ratelimit-remaining-requests") > 500);
    assert_eq!(stage.upstream.requests().len(), 1);
}

/// No wait helps a call that needs more than there ever is, but another call may be let through.
#[tokio::test]
async fn a_call_beyond_the_whole_limit_is_told_so() {
    let stage = stage(&[("team-a", "rate_limit: { tokens_per_minute: 600 }")]).await;
    let refused = call(&stage, "team-a", asking(601)).await;
    let message = "The call may take 601 tokens with its answer, and the API key may use 600 a minute at most. Send a \
                   shorter prompt or a lower `max_tokens`.";
    assert_eq!(refused.status, 429);
    assert_eq!(refused.text(), refusal("rate_limit_error", "rate_limit_exceeded", "", message));
    for name in ["retry-after", "retry-after-ms"] {
        assert_eq!(refused.header(name), "", "{name}");
    }
    assert_eq!(refused.header("x-should-retry"), "false");
    assert_eq!(number(&refused, "x-ratelimit-remaining-tokens"), 600);
    stage.assert_nothing_was_sent("601 tokens");
    assert_eq!(call(&stage, "team-a", asking(600)).await.status, 200);
}

/// When a call will be over nobody knows, so no wait is promised; that it will be over is a reason to try again.
#[tokio::test]
async fn calls_beyond_so_many_at_once_are_refused() {
    let stage = stage(&[("team-a", "rate_limit: { max_concurrent: 2 }")]).await;
    let gate = Gate::new();
    for _ in 0..2 {
        stage.upstream.push(Script::new().wait(&gate).answer(200, "application/json", "{}"));
    }
    let calls = [spawn(&stage, "team-a", CALL), spawn(&stage, "team-a", CALL)];
    stage.upstream.request(1).await;
    let refused = call(&stage, "team-a", CALL).await;
    assert_eq!(refused.status, 429);
    let message = "The API key may make 2 calls at once, and so many are under way. Try again when one is over.";
    assert_eq!(refused.text(), refusal("rate_limit_error", "concurrency_limit_exceeded", "", message));
    assert_eq!((refused.header("retry-after"), refused.header("retry-after-ms")), ("1", ""));
    assert_eq!(refused.header("x-should-retry"), "", "it will get better");
    assert_eq!(stage.upstream.requests().len(), 2);
    gate.open();
    let mut ids = Vec::new();
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!(answer.status, 200);
        ids.push(answer.header("x-request-id").to_owned());
    }
    // One of them is over when the first line of the log says so, whichever it is.
    stage.gateway.log_line(|line| line.contains(r#""target":"access""#) && ids.iter().any(|id| line.contains(id)));
    assert_eq!(call(&stage, "team-a", CALL).await.status, 200);
}

/// All limits are decided together: what one of them refuses, none of the others is charged for.
#[tokio::test]
async fn a_refused_call_costs_nothing() {
    let limits = "rate_limit: { limit: 3, period_seconds: 36000, tokens_per_minute: 600, max_concurrent: 1 }";
    let stage = stage(&[("team-a", limits), ("none", &format!("allowed_models: [], {limits}"))]).await;
    // Not a token, though each needs many.
    for _ in 0..5 {
        assert_eq!(call(&stage, "team-a", asking(601)).await.status, 429);
    }
    // Refused for the call that is under way.
    let gate = Gate::new();
    stage.upstream.push(told(Script::new().wait(&gate), 0, 0));
    let held = spawn(&stage, "team-a", r#"{"model":"gpt-4o","max_tokens":0}"#);
    stage.upstream.request(0).await;
    for _ in 0..5 {
        assert_eq!(call(&stage, "team-a", asking(100)).await.error_code(), "concurrency_limit_exceeded");
    }
    gate.open();
    stage.access_line(held.await.unwrap().header("x-request-id"));
    // Refused before anything is asked of the limits.
    for (name, body, status) in
        [("team-a", "{", 400), ("team-a", r#"{"model":"unknown"}"#, 404), ("none", r#"{"model":"gpt-4o"}"#, 403)]
    {
        assert_eq!(call(&stage, name, body).await.status, status, "{body}");
    }
    let answer = settled(&stage, "team-a", asking(0)).await;
    assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), 1, "two calls were let through");
    assert_eq!(number(&answer, "x-ratelimit-remaining-tokens"), 600);
    assert_eq!(settled(&stage, "team-a", asking(600)).await.status, 200);
    // Refused for requests, and so not charged for tokens.
    for _ in 0..5 {
        let refused = call(&stage, "team-a", asking(600)).await;
        assert_refused("requests", &refused, &used_up("3 requests in 36000 s"), Duration::from_mins(200));
        assert_eq!(number(&refused, "x-ratelimit-remaining-tokens"), 600);
    }
    assert_eq!(stage.upstream.requests().len(), 3);
}
