//! What every answer says of its caller's limits, in the headers that OpenAI's clients know.

use std::time::Duration;

use gateway_testing::{Answer, Script};
use gateway_tests::stage::{CALL, CHAT, ONE_ATTEMPT, PLAIN, Stage, answer_with};
use gateway_tests::stream::{Events, STREAMED_CALL, finish, text};
use http::HeaderMap;

use super::scene::{asking, call, duration, listed, number, request, settled, stage, stage_of};

/// Both kinds, so slow that nothing comes back while a test runs.
const BOTH: &str = "rate_limit: { limit: 10, period_seconds: 36000, tokens_per_minute: 600 }";

const NAMES: [&str; 6] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
];

fn told(headers: &HeaderMap) -> [&str; 6] {
    NAMES.map(|name| headers.get(name).map_or("", |value| value.to_str().unwrap()))
}

/// Nothing is spent before the first call, so that what it is told is exact.
#[tokio::test]
async fn the_first_call_is_told_exactly() {
    let rows = [
        ("both", BOTH, ["10", "9", "1h0m0s", "600", "300", "30s"]),
        ("minute", "rate_limit: { requests_per_minute: 40 }", ["40", "39", "1.5s", "", "", ""]),
        ("second", "rate_limit: { requests_per_second: 50 }", ["50", "49", "20ms", "", "", ""]),
        ("burst", "rate_limit: { requests_per_second: 1, burst_size: 7 }", ["7", "6", "1s", "", "", ""]),
        ("tokens", "rate_limit: { tokens_per_minute: 300 }", ["", "", "", "300", "0", "1m0s"]),
        // Of several, the one of which least is left.
        (
            "several",
            "rate_limit: { requests_per_second: 100, requests_per_minute: 40, limit: 50, period_seconds: 86400 }",
            ["40", "39", "1.5s", "", "", ""],
        ),
        ("at-once", "rate_limit: { max_concurrent: 5 }", [""; 6]),
        ("budget", "budget: { usd: 5, period: month }", [""; 6]),
        ("nothing", "rate_limit: {}", [""; 6]),
        ("none", "allowed_models: [\"*\"]", [""; 6]),
    ];
    let stage = stage(&rows.map(|(name, limits, _)| (name, limits))).await;
    for (name, limits, expected) in rows {
        let answer = call(&stage, name, asking(300)).await;
        assert_eq!((answer.status.as_u16(), told(&answer.headers)), (200, expected), "{limits}");
    }
}

/// An answer to a call that was let through, or was not for its limits.
fn assert_told(row: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{row}: {}", answer.text());
    assert!(!told(&answer.headers).contains(&""), "{row}: {:?}", answer.headers);
    assert!(number(answer, "x-ratelimit-remaining-requests") < 10, "{row}");
    assert!(!duration(answer, "x-ratelimit-reset-requests").is_zero(), "{row}");
}

#[tokio::test]
async fn answers_tell_however_the_call_ended() {
    let timeouts = "timeouts: { headers: 300ms }\n";
    let keys = [("ok", BOTH), ("error", BOTH), ("fault", BOTH), ("late", BOTH), ("refused", BOTH), ("stream", BOTH)];
    let stage = stage_of(&[PLAIN, &listed(&keys), ONE_ATTEMPT, timeouts].concat()).await;
    for (name, script, status) in [
        ("ok", Script::json(200, "{}"), 200),
        ("error", Script::json(500, "{}"), 502),
        ("error", Script::new().write("HTTP/1.1 200").reset(), 502),
        ("fault", Script::json(400, r#"{"error":{"message":"No."}}"#), 400),
        ("fault", Script::json(422, r#"{"error":{"message":"No."}}"#), 422),
        ("late", Script::new().stall(), 504),
    ] {
        stage.upstream.push(script);
        assert_told(name, &call(&stage, name, asking(100)).await, status);
    }
    assert_told("refused", &call(&stage, "refused", asking(100)).await, 200);
    assert_told("refused", &call(&stage, "refused", asking(601)).await, 429);
    stage.upstream.push(Script::events([&*text("a"), &finish(), "[DONE]"]));
    let streamed = Events::of(stage.gateway.address(), request("stream", "POST", CHAT, STREAMED_CALL)).await;
    assert_eq!(told(&streamed.headers)[..3], ["10", "9", "1h0m0s"]);
    assert!(!told(&streamed.headers).contains(&""), "{:?}", streamed.headers);
}

/// What the upstream says of the gateway's own limits is not what the caller's are.
#[tokio::test]
async fn the_upstreams_own_limits_are_not_the_callers() {
    let stage = stage(&[("team-a", BOTH)]).await;
    let lines = [("content-type", "application/json"), (NAMES[1], "77777"), (NAMES[4], "88888")];
    let upstreams = |stage: &Stage| stage.upstream.push(answer_with(200, &lines, "{}"));
    upstreams(&stage);
    let limited = call(&stage, "team-a", asking(300)).await;
    assert_eq!(told(&limited.headers), ["10", "9", "1h0m0s", "600", "300", "30s"]);
    assert_eq!(limited.headers.get_all(NAMES[1]).iter().count(), 1);
    assert_eq!(limited.header("x-upstream-x-ratelimit-remaining-requests"), "77777");
    upstreams(&stage);
    let free = stage.post(CHAT, CALL).await;
    assert_eq!(told(&free.headers), [""; 6]);
    assert_eq!(free.header("x-upstream-x-ratelimit-remaining-tokens"), "88888");
}

/// As long as the call is on its way, what it may need is taken; when it is over, what it did not need is back.
#[tokio::test]
async fn what_is_left_is_told_as_of_the_admission() {
    let stage = stage(&[("team-a", BOTH)]).await;
    for expected in (4..10).rev() {
        let answer = settled(&stage, "team-a", asking(300)).await;
        assert_eq!(number(&answer, NAMES[1]), expected);
        assert_eq!(number(&answer, NAMES[4]), 300);
        let reset = duration(&answer, NAMES[2]);
        let longest = Duration::from_hours(10 - expected);
        assert!(reset <= longest && reset + Duration::from_mins(10) > longest, "{reset:?}");
    }
}
