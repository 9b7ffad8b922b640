//! An upstream that stalls is given up: before the first content as a failed call, behind it in the stream's last event.

use gateway_testing::Script;
use gateway_tests::stage::{CHAT, ONE_ATTEMPT, Stage, authorized};
use gateway_tests::stream::{Events, STREAMED_CALL, error_code, event, role, text, without_gateway};

/// Fails the call before its first content, by a script that stalls.
async fn fails(timeouts: &str, script: Script, body: &str, code: &str) {
    let stage = Stage::with(&format!("timeouts: {timeouts}\n{ONE_ATTEMPT}")).await;
    stage.upstream.push(script);
    let answer = stage.post(CHAT, body.to_owned()).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (504, code), "{timeouts}: {}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "timeout_error");
    assert_eq!(answer.json()["gateway"]["attempts"][0]["outcome"], code);
    stage.upstream.connection_closed(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_content_has_a_time() {
    let timeouts = "{ first_token: 200ms }";
    fails(timeouts, Script::event_stream().stall(), STREAMED_CALL, "first_token_timeout").await;
    let comments = Script::event_stream().chunk(": wait\n\n").stall();
    fails(timeouts, comments, STREAMED_CALL, "first_token_timeout").await;
    let role = Script::event_stream().event(&role()).stall();
    fails(timeouts, role, STREAMED_CALL, "first_token_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_may_shorten_the_times() {
    let body = r#"{"model":"gpt-4o","stream":true,"gateway":{"first_token_timeout_ms":200}}"#;
    fails("{}", Script::event_stream().stall(), body, "first_token_timeout").await;
    let body = r#"{"model":"gpt-4o","stream":true,"gateway":{"timeout_ms":200}}"#;
    fails("{}", Script::event_stream().stall(), body, "total_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_has_a_time() {
    fails("{ headers: 200ms }", Script::new().stall(), STREAMED_CALL, "headers_timeout").await;
    fails("{ total: 200ms }", Script::new().stall(), STREAMED_CALL, "total_timeout").await;
}

/// Breaks the stream behind its first content, by a script that stalls.
async fn breaks(sections: &str, body: &str, code: &str) {
    let stage = Stage::with(sections).await;
    stage.upstream.push(Script::event_stream().event(&text("a")).stall());
    let mut events = Events::of(stage.gateway.address(), authorized("POST", CHAT, body.to_owned())).await;
    assert_eq!(without_gateway(&events.next().await.unwrap()), event(&text("a")));
    let request_id = events.headers["x-request-id"].to_str().unwrap().to_owned();
    let rest = events.rest().await;
    assert_eq!(rest.len(), 1, "{rest:?}");
    assert_eq!(error_code(&rest[0]), code);
    stage.upstream.connection_closed(0).await;
    let line = stage.access_line(&request_id);
    assert_eq!((&line["status"], &line["error"]), (&200.into(), &code.into()), "{line}");
    assert_eq!(line["attempts"], format!("main/gpt-4o-2024:{code}:200"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_is_ended() {
    breaks("timeouts: { idle: 200ms }\n", STREAMED_CALL, "idle_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_is_ended() {
    breaks("timeouts: { total: 1s }\n", STREAMED_CALL, "total_timeout").await;
    let body = r#"{"model":"gpt-4o","stream":true,"gateway":{"timeout_ms":1000}}"#;
    breaks("", body, "total_timeout").await;
}

/// An upstream that never pauses is no reason to go on for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_stream_is_ended_too() {
    let stage = Stage::with("timeouts: { total: 1s }\n").await;
    let pause = std::time::Duration::from_millis(5);
    let script = (0..1000).fold(Script::event_stream(), |script, _| script.event(&text("a")).pause(pause));
    stage.upstream.push(script);
    let events = Events::open(stage.gateway.address()).await.rest().await;
    assert_eq!(error_code(events.last().unwrap()), "total_timeout");
    stage.upstream.connection_closed(0).await;
}

/// A model may think for longer than it may pause between two words.
#[tokio::test(flavor = "multi_thread")]
async fn silence_ahead_of_the_content_is_not_idleness() {
    let stage = Stage::with("timeouts: { idle: 500ms }\n").await;
    let pause = std::time::Duration::from_secs(1);
    let script = Script::event_stream().pause(pause).event(&role()).pause(pause).event(&text("a"));
    stage.upstream.push(script.event("[DONE]").end_chunks());
    assert_eq!(Events::open(stage.gateway.address()).await.rest().await.len(), 3);
}

/// `headers` and `first_token` are over with the first content; only `idle` and `total` bound a stream.
#[tokio::test(flavor = "multi_thread")]
async fn the_early_times_do_not_bound_a_stream() {
    let stage = Stage::with("timeouts: { headers: 1s, first_token: 1s }\n").await;
    let pause = std::time::Duration::from_millis(300);
    let script = (0..5).fold(Script::event_stream(), |script, _| script.event(&text("a")).pause(pause));
    stage.upstream.push(script.event("[DONE]").end_chunks());
    assert_eq!(Events::open(stage.gateway.address()).await.rest().await.len(), 6);
}
