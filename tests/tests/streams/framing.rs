//! However the upstream cuts and spells its stream, the caller gets the same clean one.

use gateway_testing::Script;
use gateway_tests::stage::{CHAT, Stage, authorized};
use gateway_tests::stream::{DONE, Events, STREAMED_CALL, event, finish, text, without_gateway};

/// A streamed call whose caller asks for the usage, so that the gateway keeps none of it back.
const ASKING_CALL: &str = r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true}}"#;

/// The events of one stream, the first without its `gateway` member.
async fn relay(stage: &Stage, script: Script) -> Vec<String> {
    relay_to(STREAMED_CALL, stage, script).await
}

/// The same for another call.
async fn relay_to(call: &'static str, stage: &Stage, script: Script) -> Vec<String> {
    stage.upstream.push(script);
    let request = authorized("POST", CHAT, call);
    let mut events = Events::of(stage.gateway.address(), request).await.rest().await;
    events[0] = without_gateway(&events[0]);
    events
}

/// Short, because the stream is cut everywhere: characters of one to four bytes, a sequence of several code points,
/// escapes, and the end.
fn payloads() -> [String; 3] {
    let text = |text: &str| format!(r#"{{"model":"gpt-4o-2024","choices":[{{"text":"{text}"}}]}}"#);
    let end = r#"{"choices":[{"finish_reason":"stop"}]}"#;
    [text("né漢👩\u{200d}💻"), text(r"\ud83e\udd80"), end.to_owned()]
}

fn stream(line_end: &str) -> String {
    let lines = payloads().into_iter().chain(["[DONE]".to_owned()]).map(|payload| format!("data: {payload}"));
    lines.flat_map(|line| [line, line_end.repeat(2)]).collect()
}

fn relayed() -> Vec<String> {
    payloads().iter().map(|payload| event(payload)).chain([DONE.to_owned()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_end_is_understood() {
    let stage = Stage::with("").await;
    let mixed = stream("\n").replacen("\n\n", "\r\n\n", 1).replacen("\n\n", "\n\r", 2);
    for stream in [stream("\n"), stream("\r\n"), stream("\r"), mixed, format!("\u{feff}{}", stream("\n"))] {
        let script = Script::event_stream().chunk(&stream).end_chunks();
        assert_eq!(relay(&stage, script).await, relayed(), "{stream:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_may_be_cut_at_any_byte() {
    let stage = Stage::with("").await;
    for line_end in ["\n", "\r\n"] {
        let stream = stream(line_end);
        for at in 1..stream.len() {
            let (head, tail) = stream.as_bytes().split_at(at);
            let script = Script::event_stream().chunk(head).chunk(tail).end_chunks();
            assert_eq!(relay(&stage, script).await, relayed(), "{line_end:?} cut at {at}");
        }
        let bytes = stream.as_bytes().chunks(1).fold(Script::event_stream(), Script::chunk);
        assert_eq!(relay(&stage, bytes.end_chunks()).await, relayed(), "{line_end:?} byte by byte");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_event_and_data_lines_pass() {
    let stage = Stage::with("").await;
    let stream = concat!(
        ": a comment\n\n",
        "id: 7\nretry: 10\n\n",
        "event: delta\nid: 8\n: another\ndata: {\"model\":\"gpt-4o-2024\",\n",
        "data:  \"choices\":[{\"delta\":{\"content\":\"a\"}}]}\nunknown: 1\nnothing\n\n",
        "\n\n: between\n\n",
        "data:{\"model\":\"gpt-4o-2024\",\ndata:\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: not JSON\n\n",
        "data\n\n",
        "data: [DONE]\n\n: behind the end\n\ndata: behind the end\n\n",
    );
    let events = relay(&stage, Script::event_stream().chunk(stream).end_chunks()).await;
    let expected = [
        "event: delta\ndata: {\"model\":\"gpt-4o\",\ndata:  \"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        "data: {\"model\":\"gpt-4o\",\ndata: \"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: not JSON\n\n",
        "data\n\n",
        DONE,
    ];
    assert_eq!(events, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_pass_byte_for_byte_but_for_the_model() {
    let stage = Stage::with("").await;
    let odd = r#"{ "z" :1.0e+2, "model"	: "gpt-4o-2024" ,"big":12345678901234567890123,"choices":[{"delta":{"content":"\u0061\/"}, "model":"gpt-4o-2024"}],"usage":null }"#;
    let script = Script::event_stream().event(&text("a")).event(odd).event(&finish()).event("[DONE]").end_chunks();
    let events = relay_to(ASKING_CALL, &stage, script).await;
    assert_eq!(events[1], format!("data: {}\n\n", odd.replacen("gpt-4o-2024", "gpt-4o", 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn done_is_added_where_only_it_is_missing() {
    let stage = Stage::with("").await;
    let usage = r#"{"model":"gpt-4o-2024","choices":[],"usage":{"total_tokens":1}}"#;
    let script = Script::event_stream().event(&text("a")).event(&finish()).event(usage).end_chunks();
    let expected = [event(&text("a")), event(&finish()), event(usage), DONE.to_owned()];
    assert_eq!(relay_to(ASKING_CALL, &stage, script).await, expected);

    // The last line may lack its end.
    let script = Script::event_stream().event(&text("a")).event(&finish()).chunk("data: [DONE]").end_chunks();
    assert_eq!(relay(&stage, script).await, [event(&text("a")), event(&finish()), DONE.to_owned()]);

    // An answer without any content is an answer.
    let script = Script::events([&*finish()]);
    assert_eq!(relay(&stage, script).await, [event(&finish()), DONE.to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_responses_api_has_events_of_its_own() {
    let stage = Stage::with("").await;
    let stream = concat!(
        "event: response.created\n",
        r#"data: {"type":"response.created","response":{"id":"r-1","model":"gpt-4o-2024"}}"#,
        "\n\nevent: response.output_text.delta\n",
        r#"data: {"type":"response.output_text.delta","delta":"gpt-4o-2024"}"#,
        "\n\nevent: response.completed\n",
        r#"data: {"type":"response.completed","response":{"id":"r-1","model":"gpt-4o-2024"}}"#,
        "\n\n",
    );
    stage.upstream.push(Script::event_stream().chunk(stream).end_chunks());
    let request = authorized("POST", "/v1/responses", STREAMED_CALL);
    let mut events = Events::of(stage.gateway.address(), request).await.rest().await;
    events[0] = without_gateway(&events[0]);
    let model = r#""model":"gpt-4o-2024""#;
    assert_eq!(events.concat(), stream.replace(model, r#""model":"gpt-4o""#));
}
