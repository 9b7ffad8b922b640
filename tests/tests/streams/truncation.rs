//! Streams that break. Before the first content the call fails like any other; behind it the caller is told in one last
//! event, and never with `[DONE]`.

use bytes::Bytes;
use gateway_testing::Script;
use gateway_tests::stage::{CHAT, ONE_ATTEMPT, Stage, authorized};
use gateway_tests::stream::{Events, STREAMED_CALL, error_code, event, finish, role, text, without_gateway};

/// How an upstream's connection may end without the stream's own end.
type Ending = fn(Script) -> Script;

const ENDINGS: [(&str, Ending); 3] =
    [("ended", Script::end_chunks), ("closed", Script::close), ("reset", Script::reset)];

#[tokio::test(flavor = "multi_thread")]
async fn before_the_content_the_call_fails() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let half = text("content");
    for (ending, end) in ENDINGS {
        for (point, begun) in [
            ("head", Script::event_stream()),
            ("comment", Script::event_stream().chunk(": wait\n\n")),
            ("role", Script::event_stream().event(&role())),
            ("half an event", Script::event_stream().event(&role()).chunk(format!("data: {}", &half[..40]))),
            ("an event without its end", Script::event_stream().chunk(format!("data: {}", role()))),
        ] {
            stage.upstream.push(end(begun));
            let answer = stage.post(CHAT, STREAMED_CALL).await;
            let row = format!("{ending} behind {point}: {}", answer.text());
            assert_eq!(answer.status, 502, "{row}");
            assert_eq!(answer.json()["error"]["type"], "upstream_error", "{row}");
            assert!(["upstream_truncated", "upstream_error"].contains(&&*answer.error_code()), "{row}");
            assert_eq!(answer.json()["gateway"]["attempts"].as_array().unwrap().len(), 1, "{row}");
            assert_eq!(answer.header("x-should-retry"), "false", "{row}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_content_the_caller_is_told() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let crab = format!("data: {}\n\n", text("🦀")).into_bytes();
    let within_crab = crab.windows(4).position(|window| window == "🦀".as_bytes()).unwrap() + 2;
    let whole = format!("data: {}", text("b"));
    for (ending, end) in ENDINGS {
        for (point, rest) in [
            ("content", &b""[..]),
            ("half a line", &whole.as_bytes()[..30]),
            ("half a name", b"da"),
            ("half a character", &crab[..within_crab]),
            ("a comment", b": wait\n\n"),
        ] {
            let begun = Script::event_stream().event(&text("a"));
            let begun = if rest.is_empty() { begun } else { begun.chunk(rest) };
            stage.upstream.push(end(begun));
            let mut events = Events::open(stage.gateway.address()).await;
            assert_eq!(events.status, 200);
            let request_id = events.headers["x-request-id"].to_str().unwrap().to_owned();
            let events = events.rest().await;
            let row = format!("{ending} behind {point}: {events:?}");
            assert_eq!(events.len(), 2, "{row}");
            assert_eq!(without_gateway(&events[0]), event(&text("a")), "{row}");
            assert_eq!(error_code(&events[1]), "upstream_truncated", "{row}");
            let line = stage.access_line(&request_id);
            assert_eq!(line["error"], "upstream_truncated", "{row}: {line}");
            assert_eq!(line["attempts"], "main/gpt-4o-2024:truncated:200", "{row}: {line}");
        }
    }
}

/// A reason to finish is an end, if the body then ends in order; a cut is one all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_before_done_is_a_truncation() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    for end in [Script::close, Script::reset] {
        stage.upstream.push(end(Script::event_stream().event(&text("a")).event(&finish())));
        let events = Events::open(stage.gateway.address()).await.rest().await;
        assert_eq!(events.len(), 3, "{events:?}");
        assert_eq!(error_code(&events[2]), "upstream_truncated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_break_alike() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let delta = r#"{"type":"response.output_text.delta","delta":"a"}"#;
    stage.upstream.push(Script::event_stream().event(delta).end_chunks());
    let request = authorized("POST", "/v1/responses", STREAMED_CALL);
    let events = Events::of(stage.gateway.address(), request).await.rest().await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(error_code(&events[1]), "upstream_truncated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_place_of_the_content_is_an_answer() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let opening = || Script::event_stream().event(&role());
    for (error, status, code) in [
        (r#"{"error":{"message":"boom"}}"#, 502, "upstream_error"),
        (r#"{"error":{"message":"boom","code":"server_error"}}"#, 502, "upstream_error"),
        (r#"{"error":{"message":"slow down","code":429}}"#, 502, "upstream_error"),
        (r#"{"error":{"message":"whose key?","code":401}}"#, 502, "upstream_credentials_rejected"),
        (r#"{"error":{"message":"your fault","code":400}}"#, 400, ""),
    ] {
        for script in [Script::event_stream(), opening()] {
            stage.upstream.push(script.event(error).event("[DONE]").end_chunks());
            let answer = stage.post(CHAT, STREAMED_CALL).await;
            assert_eq!(answer.status, status, "{error}: {}", answer.text());
            assert_eq!(answer.header("content-type"), "application/json", "{error}");
            if status == 400 {
                assert_eq!(answer.text(), error, "the upstream's words are for the caller");
            } else {
                assert_eq!(answer.error_code(), code, "{error}");
                assert!(!answer.text().contains("boom"), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_behind_the_content_ends_the_stream() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    for error in [
        "data: {\"error\":{\"message\":\"boom\",\"code\":500}}\n\n",
        "event: error\ndata: {\"message\":\"boom\"}\n\n",
        "data: {\"type\":\"error\",\"message\":\"boom\"}\n\n",
    ] {
        let script = Script::event_stream().event(&text("a")).chunk(error);
        stage.upstream.push(script.event(&text("b")).event("[DONE]").end_chunks());
        let mut events = Events::open(stage.gateway.address()).await;
        let request_id = events.headers["x-request-id"].to_str().unwrap().to_owned();
        let events = events.rest().await;
        assert_eq!(events.len(), 2, "{events:?}");
        assert_eq!(events[1], error);
        let line = stage.access_line(&request_id);
        assert_eq!(line["attempts"], "main/gpt-4o-2024:server_error:200", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_a_largest_size() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let endless = |script: Script| {
        let part = Bytes::from(format!("100000\r\n{}\r\n", "x".repeat(1 << 20)));
        (0..17).fold(script.chunk("data: "), |script, _| script.write(part.clone()))
    };
    stage.upstream.push(endless(Script::event_stream()).stall());
    let answer = stage.post(CHAT, STREAMED_CALL).await;
    assert_eq!((answer.status.as_u16(), &*answer.error_code()), (502, "upstream_invalid_response"));
    stage.upstream.connection_closed(0).await;

    stage.upstream.push(endless(Script::event_stream().event(&text("a"))).stall());
    let events = Events::open(stage.gateway.address()).await.rest().await;
    assert_eq!(events.len(), 2);
    assert_eq!(error_code(&events[1]), "upstream_invalid_response");
    stage.upstream.connection_closed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_just_below_it_passes() {
    let stage = Stage::with(ONE_ATTEMPT).await;
    let long = text(&"漢".repeat(5 << 20));
    stage.upstream.push(Script::events([&*text("a"), &*long, &*finish(), "[DONE]"]));
    let events = Events::open(stage.gateway.address()).await.rest().await;
    assert_eq!(events.len(), 4);
    assert!(events[1] == event(&long), "the large event was changed");
}
