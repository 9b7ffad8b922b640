//! Upstreams that ask to be left alone: a call waits for a while if it has nowhere else to go, and not at all if it has.

use std::time::Duration;

use gateway_testing::{Answer, Script};
use gateway_tests::clock::now;
use gateway_tests::stage::{CALL, CHAT, Stage, answer_with, key_line};
use gateway_tests::trail;
use gateway_tests::wire::{Wire, lines};

const RETRY: &str = "retry: { max_retries: 2, base_delay: 1ms, max_delay: 1ms, max_retry_after: 30s }\n";

/// What no call here has to wait for. It is far from both sides: calls that do not wait take milliseconds.
const NO_WAIT: Duration = Duration::from_secs(15);

/// Two targets for `gpt-4o`, the first in rank first.
const PAIR: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: [gpt-4o] }
  - { name: other, api_base: "${OTHER}", model_mapping: [gpt-4o] }
models:
  gpt-4o:
    balance: priority
    targets: [ { provider: main, priority: 1 }, { provider: other, priority: 2 } ]
master_keys:
  - { name: team, key: "${CALLER_KEY}" }
"#;

fn ok() -> Script {
    Script::json(200, "{}")
}

/// An answer that asks for a wait in the way that `headers` say.
fn busy(status: u16, headers: &[(&str, &str)]) -> Script {
    answer_with(status, headers, "{}")
}

async fn timed(stage: &Stage) -> (Answer, Duration) {
    let began = now();
    let answer = stage.post(CHAT, CALL).await;
    (answer, began.elapsed())
}

/// The only target asks for a wait, and then answers.
async fn is_obeyed(status: u16, outcome: &str, headers: &[(&str, &str)], wait: Duration) {
    let stage = Stage::with(RETRY).await;
    stage.upstream.push(busy(status, headers));
    stage.upstream.push(ok());
    let (answer, took) = timed(&stage).await;
    assert_eq!(answer.status, 200, "{status} {headers:?}: {}", answer.text());
    let trail = trail::of_answer(&answer);
    assert_eq!(trail, [format!("main/gpt-4o:{outcome}:{status}"), "main/gpt-4o:success:200".to_owned()]);
    assert!(took >= wait, "{status} {headers:?}: asked again after {took:?}");
    assert!(took < wait + NO_WAIT, "{status} {headers:?}: asked again after {took:?}");
    let overhead: u64 = answer.header("x-gateway-overhead-us").parse().unwrap();
    let overhead = Duration::from_micros(overhead);
    assert!(overhead + wait <= took, "{status} {headers:?}: {overhead:?} of {took:?} were not spent waiting");
}

#[tokio::test]
async fn seconds_are_obeyed() {
    is_obeyed(429, "rate_limited", &[("retry-after", "1")], Duration::from_secs(1)).await;
    is_obeyed(503, "overloaded", &[("retry-after", "0.3")], Duration::from_millis(300)).await;
}

#[tokio::test]
async fn milliseconds_are_obeyed() {
    is_obeyed(429, "rate_limited", &[("retry-after-ms", "300"), ("retry-after", "60")], Duration::from_millis(300))
        .await;
    is_obeyed(529, "overloaded", &[("retry-after-ms", "300")], Duration::from_millis(300)).await;
}

/// A date counts from the answer's own, if it has one, so that no two clocks need to agree.
#[tokio::test]
async fn dates_are_obeyed() {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let until = ("retry-after", "Sun, 06 Nov 1994 08:49:38 GMT");
    is_obeyed(429, "rate_limited", &[date, until], Duration::from_secs(1)).await;
    is_obeyed(503, "overloaded", &[until], Duration::ZERO).await;
}

/// An upstream that limits the rate and says no more is left alone for a second.
#[tokio::test]
async fn a_limit_without_a_word_is_a_second() {
    is_obeyed(429, "rate_limited", &[], Duration::from_secs(1)).await;
}

/// Whatever form it has, a wait longer than `max_retry_after` is not begun.
#[tokio::test]
async fn a_longer_wait_is_left_to_the_caller() {
    for (status, name, value, told) in [
        (429, "retry-after", "31", "31"),
        (503, "retry-after-ms", "31000", "31"),
        (529, "retry-after", "86400", "86400"),
        (429, "retry-after", "Fri, 31 Dec 9999 23:59:59 GMT", "86400"),
    ] {
        let stage = Stage::with(RETRY).await;
        stage.upstream.push(busy(status, &[(name, value)]));
        let (answer, took) = timed(&stage).await;
        let row = format!("{status} {name}: {value}: {}", answer.text());
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (502, told), "{row}");
        assert_eq!(trail::of_answer(&answer).len(), 1, "{row}");
        assert_eq!(stage.upstream.requests().len(), 1, "{row}");
        assert!(took < NO_WAIT, "{row}: {took:?}");
    }
}

/// A target that has not asked for anything is asked first, however short the wait for the other.
#[tokio::test]
async fn nobody_waits_who_can_go_elsewhere() {
    for status in [429, 503] {
        let stage = Stage::of(&[PAIR, RETRY].concat()).await;
        stage.upstream.push(busy(status, &[("retry-after", "20")]));
        stage.other.push(ok());
        let (answer, took) = timed(&stage).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-gateway-provider")), (200, "other"));
        assert!(took < NO_WAIT, "{took:?}");
        // Also the next call: the target that asked for it is left alone.
        stage.other.push(ok());
        let (answer, took) = timed(&stage).await;
        assert_eq!(trail::of_answer(&answer), ["other/gpt-4o:success:200"]);
        assert!(took < NO_WAIT, "{took:?}");
        assert_eq!(stage.upstream.requests().len(), 1);
    }
}

#[tokio::test]
async fn of_two_waits_the_shorter_is_waited_for() {
    let stage = Stage::of(&[PAIR, RETRY].concat()).await;
    stage.upstream.push(busy(503, &[("retry-after", "25")]));
    stage.other.push(busy(429, &[("retry-after-ms", "300")]));
    stage.other.push(ok());
    let (answer, took) = timed(&stage).await;
    let expected = ["main/gpt-4o:overloaded:503", "other/gpt-4o:rate_limited:429", "other/gpt-4o:success:200"];
    assert_eq!(trail::of_answer(&answer), expected);
    assert!((Duration::from_millis(300)..NO_WAIT).contains(&took), "{took:?}");
}

/// One refusal must not disable a provider: what asked for a wait is the last choice, and a choice.
#[tokio::test]
async fn a_call_with_nowhere_else_to_go_is_made_at_once() {
    for (status, wait) in [(429, "60"), (503, "60"), (529, "3600")] {
        let stage = Stage::with(RETRY).await;
        stage.upstream.push(busy(status, &[("retry-after", wait)]));
        assert_eq!(timed(&stage).await.0.status, 502);
        stage.upstream.push(ok());
        let (answer, took) = timed(&stage).await;
        assert_eq!(answer.status, 200, "{status}: {}", answer.text());
        assert_eq!(trail::of_answer(&answer), ["main/gpt-4o:success:200"], "{status}");
        assert!(took < NO_WAIT, "{status}: {took:?}");
    }
}

/// Nobody waits for a caller who has left: the log has the call long before the wait would be over.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_ends_the_wait() {
    let stage = Stage::with(RETRY).await;
    stage.upstream.push(busy(429, &[("retry-after", "30")]));
    let mut wire = Wire::open(stage.gateway.address()).await;
    wire.write(lines(
        &[
            &format!("POST {CHAT} HTTP/1.1"),
            "host: gateway",
            &key_line(),
            "x-request-id: leaver",
            "content-type: application/json",
            &format!("content-length: {}", CALL.len()),
        ],
        CALL,
    ))
    .await;
    stage.gateway.log_line(|line| line.contains("attempt failed"));
    drop(wire);
    let line = stage.access_line("leaver");
    assert_eq!(
        (&line["status"], &line["attempts"]),
        (&499.into(), &"main/gpt-4o-2024:rate_limited:429".into()),
        "{line}"
    );
    assert_eq!(stage.upstream.requests().len(), 1);
}
