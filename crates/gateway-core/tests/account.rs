//! What a settled call says of its answer's body. The clock is paused, so seconds pass at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "in_process/scene.rs"]
#[expect(dead_code, reason = "other tests look at more")]
mod scene;

use std::time::Duration;

use gateway_testing::Script;
use http_body_util::BodyExt;

use scene::{CONTENT, Scene, post};

const YAML: &str = "
auth: none
rewrite_response: false
timeouts: { first_token: 60s, idle: 60s }
providers: [ { name: main, api_base: 'MAIN' } ]
";

/// The parts of the answer that the caller takes, of as many as it wants, and what was settled then: the bytes that left and when the
/// first of them did.
async fn account(script: Script, stream: bool, wanted: usize) -> (Vec<usize>, u64, Option<Duration>) {
    let scene = Scene::of(YAML).await;
    scene.main.push(script);
    let body = if stream { r#"{"model":"m","stream":true}"# } else { r#"{"model":"m"}"# };
    let mut answer = scene.send(post("/v1/chat/completions", body)).await.into_body();
    let mut parts = Vec::new();
    while parts.len() < wanted
        && let Some(part) = answer.frame().await
    {
        parts.push(part.unwrap().into_data().unwrap().len());
    }
    drop(answer);
    let settled = scene.settled();
    assert_eq!(settled.len(), 1, "{settled:?}");
    (parts, settled[0].bytes_out, settled[0].first_byte)
}

fn three_parts() -> Script {
    let two = Duration::from_secs(2);
    Script::event_stream().pause(two).event(CONTENT).pause(two).event(CONTENT).pause(two).event("[DONE]").end_chunks()
}

#[tokio::test(start_paused = true)]
async fn each_byte_of_a_stream_is_counted_and_its_first_one_timed() {
    let (parts, bytes_out, first_byte) = account(three_parts(), true, usize::MAX).await;
    assert_eq!((parts.len(), bytes_out), (3, parts.iter().sum::<usize>() as u64));
    assert_eq!(first_byte.map(|it| it.as_secs()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_has_what_it_took() {
    let (parts, bytes_out, first_byte) = account(three_parts(), true, 2).await;
    assert_eq!((parts.len(), bytes_out), (2, parts.iter().sum::<usize>() as u64));
    assert_eq!(first_byte.map(|it| it.as_secs()), Some(2));
    assert_eq!(account(three_parts(), true, 0).await, (vec![], 0, None));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_all_there_is_counted_too() {
    let whole = r#"{"id":"c-1","choices":[]}"#;
    let script = Script::new().pause(Duration::from_secs(1)).answer(200, "application/json", whole);
    let (parts, bytes_out, first_byte) = account(script, false, usize::MAX).await;
    assert_eq!((parts, bytes_out), (vec![whole.len()], whole.len() as u64));
    assert_eq!(first_byte.map(|it| it.as_secs()), Some(1));
}
