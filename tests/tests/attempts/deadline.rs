//! The time that a call may take, all attempts together. Upper bounds are seconds beyond what the contract grants, for
//! machines under load; what they tell apart is minutes.

use std::time::Duration;

use gateway_testing::{Answer, Script};
use gateway_tests::clock::now;
use gateway_tests::stage::{CALL, CHAT, PLAIN, Stage, answer_with};
use gateway_tests::trail;

/// Two targets for `gpt-4o`, and a model to fall back on.
const PAIR: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: [gpt-4o] }
  - { name: other, api_base: "${OTHER}", model_mapping: [gpt-4o, mini] }
models:
  gpt-4o:
    balance: priority
    targets: [ { provider: main, priority: 1 }, { provider: other, priority: 2 } ]
    fallback_models: [mini]
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
"#;

/// How much later than it should an answer may come.
const SLACK: Duration = Duration::from_secs(8);

async fn timed(stage: &Stage, body: &'static str) -> (Answer, Duration) {
    let began = now();
    let answer = stage.post(CHAT, body).await;
    (answer, began.elapsed())
}

/// The call has used up its time with the first target, and nothing is begun behind it.
async fn ends(row: &str, sections: &str, body: &'static str, script: Script) {
    let stage = Stage::of(&[PAIR, sections].concat()).await;
    stage.upstream.push(script);
    let (answer, took) = timed(&stage, body).await;
    let row = format!("{row}: {}", answer.text());
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (504, "total_timeout"), "{row}");
    assert_eq!(answer.json()["error"]["type"], "timeout_error", "{row}");
    assert_eq!(answer.header("x-should-retry"), "false", "{row}");
    assert_eq!(trail::of_answer(&answer).len(), 1, "{row}");
    let total = Duration::from_millis(400);
    assert!((total..total + SLACK).contains(&took), "{row}: {took:?}");
    stage.upstream.connection_closed(0).await;
    assert_eq!((stage.upstream.requests().len(), stage.other.connections()), (1, 0), "{row}");
}

const TOTAL: &str = "timeouts: { total: 400ms }\n";
const TIGHT: &str = r#"{"model":"gpt-4o","gateway":{"timeout_ms":400}}"#;
const TIGHT_STREAM: &str = r#"{"model":"gpt-4o","stream":true,"gateway":{"timeout_ms":400}}"#;

#[tokio::test]
async fn nothing_is_begun_behind_the_deadline() {
    ends("configured", TOTAL, CALL, Script::new().stall()).await;
    ends("asked for", "", TIGHT, Script::new().stall()).await;
    ends("a stream", "", TIGHT_STREAM, Script::event_stream().stall()).await;
}

/// The upstream's words are read for the log. That they do not end is no reason to go on behind the deadline.
#[tokio::test]
async fn words_that_do_not_end_are_no_reason_to_go_on() {
    let head = "HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let slow = Script::new().pause(Duration::from_millis(250)).write(head).stall();
    ends("a slow failure", TOTAL, CALL, slow).await;
}

/// Attempts that are given up one by one are ended by the deadline in the middle of the last.
#[tokio::test]
async fn attempts_share_the_time() {
    let sections =
        "timeouts: { headers: 600ms, total: 2s }\nretry: { max_retries: 20, base_delay: 1ms, max_delay: 1ms }\n";
    let stage = Stage::of(&[PAIR, sections].concat()).await;
    for _ in 0..10 {
        stage.upstream.push(Script::new().stall());
        stage.other.push(Script::new().stall());
    }
    let (answer, took) = timed(&stage, CALL).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (504, "total_timeout"), "{}", answer.text());
    let trail = trail::of_answer(&answer);
    let (last, before) = trail.split_last().unwrap();
    assert!(last.ends_with(":total_timeout"), "{trail:?}");
    assert!((1..=3).contains(&before.len()), "{trail:?}");
    assert!(before.iter().all(|it| it.ends_with(":headers_timeout")), "{trail:?}");
    assert!((Duration::from_secs(2)..Duration::from_secs(2) + SLACK).contains(&took), "{took:?}");
}

/// A caller is told at once what it would be told after a wait that cannot be over in time.
#[tokio::test]
async fn no_wait_is_begun_that_would_pass_the_deadline() {
    let retry = "retry: { base_delay: 1ms, max_delay: 1ms, max_retry_after: 1h }\n";
    let backoff = "retry: { max_retries: 9, base_delay: 24h, max_delay: 24h }\n";
    let busy = || answer_with(429, &[("retry-after", "600")], "{}");
    for (row, sections, script, told) in
        [("retry-after", retry, busy(), "600"), ("backoff", backoff, Script::json(500, "{}"), "")]
    {
        let stage = Stage::with(&[sections, "timeouts: { total: 300s }\n"].concat()).await;
        stage.upstream.push(script);
        let (answer, took) = timed(&stage, CALL).await;
        assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_error"), "{row}");
        assert_eq!(answer.header("retry-after"), told, "{row}");
        assert_eq!(trail::of_answer(&answer).len(), 1, "{row}");
        assert!(took < SLACK, "{row}: {took:?}");
    }
}

/// What the caller can do something about is worth more than that another model was slow.
#[tokio::test]
async fn a_request_that_is_too_long_is_told_so_although_the_next_model_takes_too_long() {
    let two = PLAIN.replace("gpt-4o: gpt-4o-2024", "gpt-4o: gpt-4o-2024, mini: mini-2024");
    let stage = Stage::of(&two).await;
    let words = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
    stage.upstream.push(Script::json(400, words));
    stage.upstream.push(Script::new().stall());
    let call = r#"{"model":"gpt-4o","gateway":{"models":["gpt-4o","mini"],"timeout_ms":300}}"#;
    let answer = stage.post(CHAT, call).await;
    assert_eq!((answer.status.as_u16(), &*answer.text()), (400, words));
    assert_eq!(answer.header("x-gateway-attempts"), "2");
}
