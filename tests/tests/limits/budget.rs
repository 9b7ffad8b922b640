//! Budgets: what is spent of them, and what is said when they are.

use std::time::Duration;

use gateway_testing::{Answer, Gate, Script};
use gateway_tests::refusal::refusal;
use gateway_tests::stage::{CHAT, Stage};
use gateway_tests::stream::{Events, finish, text};
use gateway_tests::wire::Wire;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit};

use super::scene::{call, key, listed, number, reporting, request, settled, spawn, stage_of, told};

/// A token of an answer of `dear` is a dollar, one of `cheap` is ten cents, and `free` has no price.
const PRICED: &str = r#"
providers:
  - name: main
    api_base: "${UPSTREAM}"
    model_mapping:
      cheap: { mapped_model: cheap-1, output_cost_per_1k_tokens: 100 }
      free: free-1
      read: { mapped_model: read-1, input_cost_per_million_tokens: 1000000, output_cost_per_million_tokens: 500000 }
  - name: other
    api_base: "${OTHER}"
    model_mapping:
      dear: { mapped_model: dear-1, output_cost_per_million_tokens: 1000000 }
retry: { max_retries: 0 }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
master_keys:
"#;

async fn stage(keys: &[(&str, &str)]) -> Stage {
    stage_of(&[PRICED, &listed(keys)].concat()).await
}

/// A call that may take so many tokens of an answer.
fn ask(model: &str, tokens: u64) -> String {
    format!(r#"{{"model":"{model}","max_tokens":{tokens}}}"#)
}

/// `cheap`, and `dear` if that fails.
fn either(tokens: u64) -> String {
    format!(r#"{{"model":"cheap","models":["dear"],"max_tokens":{tokens}}}"#)
}

/// Panics unless so many dollars are left of a budget, to the dollar. Changes nothing: what it is answered costs nothing.
async fn assert_left(stage: &Stage, name: &str, dollars: u64) {
    let refused = call(stage, name, ask("dear", dollars + 1)).await;
    assert_eq!(refused.error_code(), "insufficient_quota", "{name}: more than {dollars} left");
    if dollars > 0 {
        let admitted = settled(stage, name, ask("dear", dollars)).await;
        assert_eq!(admitted.status, 200, "{name}: less than {dollars} left: {}", admitted.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_charged_the_price_of_who_served_it() {
    let stage = stage(&[("team-a", "budget: { usd: 100, period: total }")]).await;
    assert_left(&stage, "team-a", 100).await;
    stage.upstream.push(reporting(7, 40));
    assert_eq!(settled(&stage, "team-a", either(60)).await.header("x-gateway-model"), "cheap");
    assert_left(&stage, "team-a", 96).await;
    stage.upstream.push(Script::json(500, "{}"));
    stage.other.push(reporting(7, 40));
    assert_eq!(settled(&stage, "team-a", either(60)).await.header("x-gateway-model"), "dear");
    assert_left(&stage, "team-a", 56).await;
    // For what may be the dearest of them there has to be money, though the first would do with less.
    assert_eq!(call(&stage, "team-a", either(57)).await.error_code(), "insufficient_quota");
    // The prompt has a price of its own, and the rest of a dollar is spent.
    let body = r#"{"model":"read","prompt":[1,2,3,4],"max_tokens":10}"#;
    stage.upstream.push(reporting(4, 9));
    let answer = stage.send(request("team-a", "POST", "/v1/completions", body)).await;
    stage.access_line(answer.header("x-request-id"));
    assert_left(&stage, "team-a", 47).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_answered_costs_nothing() {
    let stage = stage(&[("team-a", "budget: { usd: 50, period: total }")]).await;
    let words = r#"{"error":{"message":"No."}}"#;
    for (script, status) in [
        (Script::json(500, "{}"), 502),
        (Script::new().write("HTTP/1.1 200").reset(), 502),
        (Script::json(400, words), 400),
        (Script::json(200, "no JSON"), 502),
    ] {
        stage.other.push(script);
        assert_eq!(settled(&stage, "team-a", ask("dear", 50)).await.status, status);
    }
    assert_left(&stage, "team-a", 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_charged_as_reported_or_seen() {
    let stage = stage(&[("team-a", "budget: { usd: 500, period: total }")]).await;
    let body = r#"{"model":"dear","max_tokens":150,"stream":true}"#;
    let report = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":30,"total_tokens":39}}"#;
    let hundred = text(&"word ".repeat(80));
    for (script, left) in [
        (Script::events([&*text("a"), &finish(), report, "[DONE]"]), 470),
        (Script::events([&*hundred, &finish(), "[DONE]"]), 370),
        (Script::event_stream().event(&hundred).reset(), 270),
    ] {
        stage.other.push(script);
        assert_eq!(settled(&stage, "team-a", body).await.status, 200);
        assert_left(&stage, "team-a", left).await;
    }
    stage.other.push(Script::event_stream().event(&hundred).stall());
    let request = request("team-a", "POST", CHAT, body);
    let mut events = Events::of(stage.gateway.address(), request).await;
    events.next().await.unwrap();
    let id = events.headers["x-request-id"].to_str().unwrap().to_owned();
    drop(events);
    assert_eq!(stage.access_line(&id)["status"], 499);
    assert_left(&stage, "team-a", 170).await;
}

/// What a call under way may cost nobody else can spend.
#[tokio::test(flavor = "multi_thread")]
async fn money_is_kept_back_for_calls_under_way() {
    let stage = stage(&[("team-a", "budget: { usd: 50, period: total }")]).await;
    let gate = Gate::new();
    stage.other.push(told(Script::new().wait(&gate), 0, 0));
    let held = spawn(&stage, "team-a", r#"{"model":"dear","max_tokens":40}"#);
    stage.other.request(0).await;
    assert_left(&stage, "team-a", 10).await;
    gate.open();
    stage.access_line(held.await.unwrap().header("x-request-id"));
    assert_left(&stage, "team-a", 50).await;
    // One that leaves while it is waiting gives it back, too.
    stage.other.push(Script::new().stall());
    let mut wire = Wire::open(stage.gateway.address()).await;
    let (body, key) = (ask("dear", 40), key("team-a"));
    let length = body.len();
    wire.write(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gw\r\nauthorization: Bearer {key}\r\nx-request-id: leaver\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
    .await;
    stage.other.request(3).await;
    drop(wire);
    assert_eq!(stage.access_line("leaver")["status"], 499);
    assert_left(&stage, "team-a", 50).await;
}

fn assert_spent(row: &str, answer: &Answer, advice: &str) {
    let message = format!("The API key's budget is spent. {advice}");
    let expected = refusal("rate_limit_error", "insufficient_quota", "", &message);
    assert_eq!((answer.status.as_u16(), answer.text()), (429, expected), "{row}");
}

/// The next day or month of UTC brings new money; a total is spent for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_says_when_there_is_another() {
    let stage = stage(&[
        ("day", "budget: { usd: 5, period: day }"),
        ("month", "budget: { usd: 5, period: month }"),
        ("total", "budget: { usd: 5, period: total }"),
    ])
    .await;
    for name in ["day", "month", "total"] {
        stage.other.push(reporting(0, 5));
        assert_eq!(settled(&stage, name, ask("dear", 5)).await.status, 200, "{name}");
    }
    let spent = call(&stage, "total", ask("dear", 1)).await;
    assert_spent("total", &spent, "Ask this gateway's administrator for a higher limit.");
    assert_eq!((spent.header("retry-after"), spent.header("x-should-retry")), ("", "false"));
    // With nothing left, not even what costs nothing is let through.
    assert_eq!(call(&stage, "total", ask("free", 1)).await.error_code(), "insufficient_quota");
    for (name, unit) in [("day", Unit::Day), ("month", Unit::Month)] {
        let before = Timestamp::now();
        let spent = call(&stage, name, ask("dear", 1)).await;
        let after = Timestamp::now();
        if next(before, unit) != next(after, unit) || spent.status == 200 {
            // Run at the turn of the day, this says nothing.
            continue;
        }
        let millis = number(&spent, "retry-after-ms");
        assert_spent(name, &spent, &format!("Try again in {} s.", Duration::from_millis(millis).as_secs_f64()));
        assert_eq!(number(&spent, "retry-after"), millis.div_ceil(1000), "{name}");
        assert_eq!(spent.header("x-should-retry"), "", "{name}");
        let wait = i64::try_from(millis).unwrap().milliseconds();
        let end = next(before, unit);
        assert!(before + wait <= end + 1.millisecond() && after + wait >= end, "{name}: {millis} ms from {after}");
        // No wait helps a call that is dearer than all of the budget.
        let never = call(&stage, name, ask("dear", 6)).await;
        assert_eq!((never.header("retry-after"), never.header("x-should-retry")), ("", "false"), "{name}");
    }
}

/// When the next day or month begins.
fn next(at: Timestamp, unit: Unit) -> Timestamp {
    let day = TimeZone::UTC.to_datetime(at).date();
    let first = if unit == Unit::Day { day.tomorrow().unwrap() } else { day.last_of_month().tomorrow().unwrap() };
    TimeZone::UTC.to_timestamp(first.at(0, 0, 0, 0)).unwrap()
}
