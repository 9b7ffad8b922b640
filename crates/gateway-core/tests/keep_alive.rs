//! What a caller hears of a stream in which nothing happens. The clock is paused, so minutes pass at once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use gateway_config::Config;
use gateway_core::{AnswerBody, Gateway};
use gateway_testing::{FakeUpstream, Script};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::Service;
use tokio::time::{Instant, sleep};

const CONTENT: &str = r#"{"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;

/// A streamed answer, and whoever gives it.
async fn open(script: Script, timeouts: &str) -> (FakeUpstream, Response<AnswerBody>) {
    let upstream = FakeUpstream::start([script]).await.unwrap();
    let yaml = format!(
        "auth: none\nrewrite_response: false\ntimeouts: {timeouts}\nproviders: [{{ name: main, api_base: '{}' }}]",
        upstream.api_base()
    );
    let service = Gateway::builder().build(&Config::from_yaml(&yaml).unwrap()).unwrap().service();
    let body = Full::from(Bytes::from_static(br#"{"model":"m","stream":true}"#));
    let request = Request::post("/v1/chat/completions").header("host", "gateway");
    let request = request.header("content-type", "application/json").body(body).unwrap();
    let answer = service.call(request).await.unwrap();
    (upstream, answer)
}

/// The next part of it.
async fn next(answer: &mut Response<AnswerBody>) -> Option<String> {
    let data = answer.body_mut().frame().await?.unwrap().into_data().unwrap();
    Some(String::from_utf8(data.to_vec()).unwrap())
}

/// Each part of a streamed answer, with the second at which it came.
async fn heard(script: Script, timeouts: &str) -> Vec<(u64, String)> {
    let began = Instant::now();
    let (_upstream, mut answer) = open(script, timeouts).await;
    let mut parts = Vec::new();
    while let Some(part) = next(&mut answer).await {
        parts.push((began.elapsed().as_secs(), part));
    }
    parts
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_until_it_is_given_up() {
    let script = Script::event_stream().event(CONTENT).stall();
    let parts = heard(script, "{ idle: 40s }").await;
    let comment = ": keep-alive\n\n".to_owned();
    assert_eq!(parts[..3], [(0, format!("data: {CONTENT}\n\n")), (15, comment.clone()), (30, comment)]);
    assert!(parts[3].1.contains("idle_timeout"), "{parts:?}");
    assert_eq!((parts[3].0, parts.len()), (40, 4));
}

#[tokio::test(start_paused = true)]
async fn fifteen_seconds_count_from_the_last_event() {
    let ten = Duration::from_secs(10);
    let script = Script::event_stream().event(CONTENT).pause(ten).event(CONTENT).pause(ten).pause(ten).event("[DONE]");
    let parts = heard(script.end_chunks(), "{ idle: 60s }").await;
    let times: Vec<_> = parts.iter().map(|(second, part)| (*second, part.starts_with(':'))).collect();
    assert_eq!(times, [(0, false), (10, false), (25, true), (30, false)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_out_before_the_first_content() {
    let script = Script::event_stream().pause(Duration::from_secs(50)).event(CONTENT).event("[DONE]").end_chunks();
    let parts = heard(script, "{ first_token: 60s }").await;
    assert!(parts.iter().all(|(second, part)| *second == 50 && !part.starts_with(':')), "{parts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_silence_behind_an_event_counts_that_came_when_it_was_over() {
    let script = Script::event_stream().event(CONTENT).pause(Duration::from_secs(16)).event(CONTENT).stall();
    let (_upstream, mut answer) = open(script, "{ idle: 60s }").await;
    assert_eq!(next(&mut answer).await.unwrap(), format!("data: {CONTENT}\n\n"));
    assert!(next(&mut answer).now_or_never().is_none());
    // The caller takes nothing meanwhile, so the timer has run out and the event has come when it is asked for the next time.
    sleep(Duration::from_secs(20)).await;
    assert_eq!(next(&mut answer).await.unwrap(), format!("data: {CONTENT}\n\n"));
    let began = Instant::now();
    assert_eq!((next(&mut answer).await.unwrap().as_str(), began.elapsed().as_secs()), (": keep-alive\n\n", 15));
}
