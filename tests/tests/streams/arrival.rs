//! Events leave when they arrive, complete and in order, and say who served.

use gateway_testing::{Gate, Script};
use gateway_tests::stage::{CALL, CHAT, Stage, authorized, with_header};
use gateway_tests::stream::{DONE, Events, STREAMED_CALL, event, finish, role, text, without_gateway};
use serde_json::Value;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn no_event_waits_for_the_next() {
    let stage = Stage::with("").await;
    let gates: Vec<_> = (0..5).map(|_| Gate::new()).collect();
    let texts: Vec<_> = (0..5).map(|number| text(&number.to_string())).collect();
    let hold = |script: Script, (gate, text): (&Gate, &String)| script.event(text).wait(gate);
    let script = gates.iter().zip(&texts).fold(Script::event_stream(), hold);
    stage.upstream.push(script.event(&finish()).event("[DONE]").end_chunks());

    let mut events = Events::open(stage.gateway.address()).await;
    assert_eq!(without_gateway(&events.next().await.unwrap()), event(&texts[0]));
    for (gate, text) in gates.iter().zip(&texts[1..]) {
        gate.open();
        assert_eq!(events.next().await.unwrap(), event(text));
    }
    gates[4].open();
    assert_eq!(events.rest().await, [event(&finish()), DONE.to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_precedes_the_content_leaves_with_it() {
    let stage = Stage::with("").await;
    let gate = Gate::new();
    let script = Script::event_stream().event(&role()).chunk(": wait\n\n").wait(&gate);
    stage.upstream.push(script.event(&text("a")).event(&finish()).event("[DONE]").end_chunks());

    let address = stage.gateway.address();
    let opening = tokio::spawn(async move { Events::open(address).await });
    stage.upstream.request(0).await;
    assert!(!opening.is_finished());
    gate.open();
    let mut events = opening.await.unwrap();
    assert_eq!(without_gateway(&events.next().await.unwrap()), event(&role()));
    assert_eq!(events.rest().await, [event(&text("a")), event(&finish()), DONE.to_owned()]);
}

/// A stream that shows no content is not held for ever: 64 events or 64 KiB are enough.
#[tokio::test(flavor = "multi_thread")]
async fn only_so_much_is_held() {
    let stage = Stage::with("").await;
    let long = role().replacen("c-1", &"x".repeat(64 * 1024), 1);
    for (count, payload) in [(64, role()), (1, long)] {
        let script = (0..count).fold(Script::event_stream(), |script, _| script.event(&payload));
        stage.upstream.push(script.stall());
        let mut events = Events::open(stage.gateway.address()).await;
        assert_eq!(without_gateway(&events.next().await.unwrap()), event(&payload));
        for _ in 1..count {
            assert_eq!(events.next().await.unwrap(), event(&payload));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_and_the_head_say_who_served() {
    let stage = Stage::with("").await;
    let stream = [text("a"), text("b"), finish(), "[DONE]".to_owned()];
    stage.upstream.push(Script::events(stream.iter().map(String::as_str)));

    let request = with_header(authorized("POST", CHAT, STREAMED_CALL), "x-request-id", "mine-1");
    let mut events = Events::of(stage.gateway.address(), request).await;
    assert_eq!(events.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
        ("x-request-id", "mine-1"),
        ("x-gateway-model", "gpt-4o"),
        ("x-gateway-provider", "main"),
        ("x-gateway-attempts", "1"),
    ] {
        assert_eq!(events.headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{name}");
    }
    assert!(events.headers.get("content-length").is_none());

    let first = events.next().await.unwrap();
    let payload: Value = serde_json::from_str(first.strip_prefix("data: ").unwrap()).unwrap();
    let gateway = &payload["gateway"];
    assert_eq!(gateway["model"], "gpt-4o");
    assert_eq!(gateway["provider"], "main");
    assert_eq!(gateway["upstream_model"], "gpt-4o-2024");
    assert_eq!(gateway["request_id"], "mine-1");
    assert_eq!(gateway["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(gateway["attempts"][0]["outcome"], "success");
    assert_eq!(events.rest().await, [event(&text("b")), event(&finish()), DONE.to_owned()]);
    let line = stage.access_line("mine-1");
    assert_eq!((&line["stream"], &line["status"]), (&true.into(), &200.into()), "{line}");
    assert_eq!(line["attempts"], "main/gpt-4o-2024:success:200", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn untouched_streams_are_only_reframed() {
    let stage = Stage::with("rewrite_response: false\n").await;
    stage.upstream.push(Script::events([&*text("a"), &*finish(), "[DONE]"]));
    let events = Events::open(stage.gateway.address()).await.rest().await;
    assert_eq!(events, [format!("data: {}\n\n", text("a")), format!("data: {}\n\n", finish()), DONE.to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_may_answer_whole_although_a_stream_was_asked_for() {
    let stage = Stage::with("").await;
    stage.upstream.push(Script::json(200, r#"{"id":"c-1","model":"gpt-4o-2024"}"#));
    let answer = stage.post(CHAT, STREAMED_CALL).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(without_gateway(&answer.text()), r#"{"id":"c-1","model":"gpt-4o"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_told_by_the_answer_and_not_by_the_request() {
    let stage = Stage::with("").await;
    stage.upstream.push(Script::events([&*text("a"), &*finish(), "[DONE]"]));
    let mut events = Events::of(stage.gateway.address(), authorized("POST", CHAT, CALL)).await;
    assert_eq!(events.rest().await.len(), 3);
}

/// Each stream has content of its own, so that a mix-up would show.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_streams_at_once_are_complete_and_in_order() {
    const STREAMS: usize = 200;
    const FRAMES: usize = 64;
    let stage = Stage::with("").await;
    for stream in 0..STREAMS {
        let frames = (0..FRAMES).map(|frame| text(&format!("{stream}/{frame}")));
        let script = frames.fold(Script::event_stream(), |script, frame| script.event(&frame));
        stage.upstream.push(script.event(&finish()).event("[DONE]").end_chunks());
    }
    let mut callers = JoinSet::new();
    for _ in 0..STREAMS {
        let gateway = stage.gateway.address();
        callers.spawn(async move {
            let mut events = Events::open(gateway).await;
            let first = without_gateway(&events.next().await.unwrap());
            let stream = (0..STREAMS).find(|stream| first == event(&text(&format!("{stream}/0"))));
            let stream = stream.unwrap_or_else(|| panic!("{first}"));
            let rest = (1..FRAMES).map(|frame| event(&text(&format!("{stream}/{frame}"))));
            let expected: Vec<_> = rest.chain([event(&finish()), DONE.to_owned()]).collect();
            assert_eq!(events.rest().await, expected);
            stream
        });
    }
    let mut served: Vec<_> = callers.join_all().await;
    served.sort_unstable();
    assert_eq!(served, (0..STREAMS).collect::<Vec<_>>());
}
