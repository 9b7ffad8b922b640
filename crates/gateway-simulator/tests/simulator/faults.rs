//! Broken answers: what the peer sees of them.

use gateway_simulator::{RunningSimulator, Simulator, SimulatorConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Answer, parse, post};

const TEXT: &str = "ab👍 two three four";

fn request(settings: &str, stream: bool) -> Value {
    json!({"model": format!("sim?{settings}"), "stream": stream, "messages": [{"role": "user", "content": TEXT}]})
}

async fn ask(settings: &str, stream: bool) -> Answer {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    post(&simulator, "/v1/chat/completions", &request(settings, stream)).await
}

#[tokio::test]
async fn a_cut_stream_ends_at_its_point_and_looks_truncated() {
    for (point, events) in [("after_head", 0), ("after_role", 1), ("after_content", 2), ("before_done", 6)] {
        let answer = ask(&format!("cut={point}"), true).await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.is_whole, "{point}");
        assert_eq!(answer.text().matches("\n\n").count(), events, "{point}: {}", answer.text());
        assert!(!answer.text().contains("[DONE]"));
    }
    assert_eq!(ask("cut=before_head", true).await.head, "");
}

#[tokio::test]
async fn a_character_can_be_cut_in_two() {
    let answer = ask("cut=mid_char", true).await;
    assert!(!answer.is_whole);
    assert!(answer.body.ends_with("ab\u{1F44D}".as_bytes().get(..3).unwrap()), "{:?}", answer.body);
    assert!(String::from_utf8(answer.body).is_err());
}

#[tokio::test]
async fn a_cut_plain_answer_is_shorter_than_its_head_says() {
    assert_eq!(ask("cut=before_head", false).await.head, "");
    let answer = ask("cut=after_head", false).await;
    assert_eq!((answer.status(), answer.body.len(), answer.is_whole), (200, 0, false));
    for point in ["after_role", "after_content", "mid_char", "before_done"] {
        let answer = ask(&format!("cut={point}"), false).await;
        assert!(!answer.is_whole && !answer.body.is_empty(), "{point}");
    }
}

/// Reads of a stalled answer until it contains `expected`, then asks the simulator to stop, which cuts it.
async fn stall(settings: &str, expected: &str) -> Answer {
    let simulator: RunningSimulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let mut client = TcpStream::connect(simulator.address()).await.unwrap();
    let body = request(settings, true).to_string();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all((head + &body).as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(expected) {
        assert_ne!(client.read_buf(&mut bytes).await.unwrap(), 0, "closed early");
    }
    let drained = simulator.stop().await;
    assert_eq!(drained.cut, 1, "the answer did not end by itself");
    let _ = client.read_to_end(&mut bytes).await;
    parse(&bytes)
}

#[tokio::test]
async fn a_stalled_stream_says_nothing_more() {
    let (head, role, content) = tokio::join!(
        stall("stall=after_head", "text/event-stream"),
        stall("stall=after_role", "assistant"),
        stall("stall=after_content", "\"content\":\"ab"),
    );
    assert_eq!(head.body, b"");
    assert_eq!(role.text().matches("data: ").count(), 1);
    assert_eq!(content.text().matches("data: ").count(), 2);
}

#[tokio::test]
async fn a_failure_has_the_code_that_was_asked_for() {
    for (settings, kind, code) in [
        ("status=400&code=context_length_exceeded", "invalid_request_error", json!("context_length_exceeded")),
        ("status=429&code=insufficient_quota", "requests", json!("insufficient_quota")),
        ("status=429", "requests", json!("rate_limit_exceeded")),
        ("status=500", "server_error", Value::Null),
    ] {
        let error = &ask(settings, true).await.json()["error"];
        assert_eq!((&error["type"], &error["code"]), (&json!(kind), &code), "{settings}");
    }
    assert_eq!(ask("code=never_shown", false).await.status(), 200, "a code alone fails nothing");
}

#[tokio::test]
async fn a_share_of_calls_fails() {
    let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
    let mut failed = 0;
    for _ in 0..200 {
        let answer = post(&simulator, "/v1/chat/completions", &request("fail=0.5&status=529", false)).await;
        assert!([200, 529].contains(&answer.status()));
        failed += u32::from(answer.status() == 529);
    }
    assert!((50..150).contains(&failed), "{failed} of 200 failed");
}
