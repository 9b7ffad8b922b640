//! A limit of 0 lets nothing through, ever, and says so.

use gateway_tests::refusal::refusal;
use gateway_tests::stage::{CALL, CHAT};

use super::scene::{call, request, stage};

#[tokio::test]
async fn zero_blocks() {
    let spent = "The API key's budget is spent. Ask this gateway's administrator for a higher limit.";
    let zero =
        "The API key may not make any such call: its limit is 0. Ask this gateway's administrator for a higher limit.";
    let (limit, quota) = (("rate_limit_exceeded", zero), ("insufficient_quota", spent));
    let rows = [
        ("second", "rate_limit: { requests_per_second: 0 }", limit),
        ("burst", "rate_limit: { requests_per_second: 5, burst_size: 0 }", limit),
        ("both", "rate_limit: { requests_per_second: 0, burst_size: 0 }", limit),
        ("rate", "rate_limit: { requests_per_second: 0, burst_size: 5 }", limit),
        ("minute", "rate_limit: { requests_per_minute: 0 }", limit),
        ("period", "rate_limit: { limit: 0, period_seconds: 60 }", limit),
        ("plain", "rate_limit: { limit: 0 }", limit),
        ("tokens", "rate_limit: { tokens_per_minute: 0 }", limit),
        ("once", "rate_limit: { max_concurrent: 0 }", limit),
        ("one-of-two", "rate_limit: { requests_per_minute: 100, max_concurrent: 0 }", limit),
        ("total", "budget: { usd: 0, period: total }", quota),
        ("day", "budget: { usd: 0, period: day }", quota),
        ("month", "budget: { usd: 0, period: month }", quota),
    ];
    let stage = stage(&rows.map(|(name, limits, _)| (name, limits))).await;
    for (name, limits, (code, message)) in rows {
        for body in [CALL, r#"{"model":"gpt-4o","max_tokens":0}"#, r#"{"model":"gpt-4o","stream":true}"#] {
            let answer = call(&stage, name, body).await;
            let row = format!("{limits}: {body}: {:?}", answer.headers);
            assert_eq!(
                (answer.status.as_u16(), answer.text()),
                (429, refusal("rate_limit_error", code, "", message)),
                "{row}"
            );
            assert_eq!(answer.header("x-should-retry"), "false", "{row}");
            assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), ("", ""), "{row}");
        }
    }
    stage.assert_nothing_was_sent("0");
}

/// A list of models is no call, and neither is what is refused for itself.
#[tokio::test]
async fn what_is_no_call_is_not_counted() {
    let stage =
        stage(&[("none", "rate_limit: { limit: 0 }"), ("one", "rate_limit: { limit: 1, period_seconds: 36000 }")])
            .await;
    for name in ["none", "one", "one"] {
        for path in ["/v1/models", "/v1/models/gpt-4o"] {
            let answer = stage.send(request(name, "GET", path, "")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("x-ratelimit-limit-requests")),
                (200, ""),
                "{name} {path}"
            );
        }
        // Nobody looks into the body of a call that is refused whatever it says.
        let status = if name == "none" { 429 } else { 400 };
        assert_eq!(stage.send(request(name, "POST", CHAT, "{}")).await.status, status, "{name}");
        assert_eq!(stage.send(request(name, "POST", "/v1/nothing", "{}")).await.status, 404, "{name}");
    }
    assert_eq!(call(&stage, "one", CALL).await.status, 200);
}
