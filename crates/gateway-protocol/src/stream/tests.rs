#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use gateway_sse::{MAX_EVENT, SseDecoder};
use proptest::prelude::*;

use super::*;
use crate::answer::tests::{annotated, answers, with_served};

fn frames(stream: &str) -> Vec<Frame> {
    let mut decoder = SseDecoder::new(MAX_EVENT);
    decoder.push(Bytes::copy_from_slice(stream.as_bytes()));
    std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
}

/// The stream as a caller gets it, and what its frames were.
fn rewrite(rewriter: &mut StreamRewriter, stream: &str) -> (String, Vec<FrameKind>) {
    let mut out = BytesMut::new();
    let kinds = frames(stream).iter().map(|frame| rewriter.frame(frame, &mut out)).collect();
    (String::from_utf8(out.to_vec()).unwrap(), kinds)
}

fn rewriter(endpoint: Endpoint) -> StreamRewriter {
    with_served(|served| StreamRewriter::new(endpoint, Some(served)))
}

/// A rewriter whose first frame has passed.
fn later(endpoint: Endpoint) -> StreamRewriter {
    let mut rewriter = rewriter(endpoint);
    rewrite(&mut rewriter, "data: {}\n\n");
    rewriter
}

fn plain(endpoint: Endpoint) -> StreamRewriter {
    StreamRewriter::new(endpoint, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_frame_is_rewritten_as_a_whole_answer_is((body, _) in answers(), event in "(event: [a-d]{1,3}\n)?", end in "(\n|\r\n|\r)") {
        // A frame's payload has no carriage returns: they end lines, as line feeds do.
        let body = body.replace('\r', "\n");
        let stream = format!("{event}data: {}{end}{end}", body.replace('\n', "\ndata: "));
        let (out, kinds) = rewrite(&mut rewriter(Endpoint::Embeddings), &stream);
        prop_assert_eq!(kinds, [FrameKind::Data]);
        prop_assert_eq!(out, format!("{event}data: {}\n\n", annotated(&body).replace('\n', "\ndata: ")));
    }

    #[test]
    fn without_rewriting_payloads_stay_as_they_are((body, _) in answers()) {
        let body = body.replace(['\r', '\n'], " ");
        let stream = format!("data:{body}\n\n");
        prop_assert_eq!(rewrite(&mut plain(Endpoint::ChatCompletions), &stream), (stream, vec![FrameKind::Data]));
    }
}

#[test]
fn frames_are_reframed_and_nothing_else() {
    for (frame, expected) in [
        ("data: {\"model\":\"a\"}\n\n", "data: {\"model\":\"pub\\\"lic\"}\n\n"),
        ("data:{\"model\":\"a\"}  \r\n\r\n", "data:{\"model\":\"pub\\\"lic\"}  \n\n"),
        ("data:  { \"model\" : \"a\" }\r\r", "data:  { \"model\" : \"pub\\\"lic\" }\n\n"),
        ("data: {\"model\":null}\n\n", "data: {\"model\":null}\n\n"),
        ("data: {\"model\":7}\n\n", "data: {\"model\":7}\n\n"),
        ("data: {\"a\":1e400}\n\n", "data: {\"a\":1e400}\n\n"),
        ("data: {\"gateway\":{},\"a\":1,\"gateway\":2}\n\n", "data: {\"a\":1}\n\n"),
        ("data: {\"model\":\"a\"\n\n", "data: {\"model\":\"a\"\n\n"),
        ("data: [{\"model\":\"a\"}]\n\n", "data: [{\"model\":\"a\"}]\n\n"),
        ("data: hello\n\n", "data: hello\n\n"),
        ("data\n\n", "data\n\n"),
        (": c\nid: 7\nretry: 1\nevent:x\ndata: 1\nfoo: bar\n\n", "event:x\ndata: 1\n\n"),
        ("data: {\"model\":\ndata:\"a\"}\nevent: x\n\n", "event: x\ndata: {\"model\":\ndata: \"pub\\\"lic\"}\n\n"),
        ("data:a\r\nevent: x\r\ndata:  b\r\n\r\n", "data:a\nevent: x\ndata:  b\n\n"),
        (": comment\n\n", ""),
        ("id: 1\n\n", ""),
        ("event: ping\n\n", ""),
        ("data: [DONE]\r\n\r\n", "data: [DONE]\n\n"),
    ] {
        assert_eq!(rewrite(&mut later(Endpoint::Embeddings), frame).0, expected, "{frame:?}");
    }
}

#[test]
fn the_first_object_gains_the_gateway_member_once() {
    let (out, _) = rewrite(&mut rewriter(Endpoint::ChatCompletions), ": hi\n\ndata: 1\n\ndata: {}\n\ndata: {}\n\n");
    assert_eq!(out, format!("data: 1\n\ndata: {}\n\ndata: {{}}\n\n", annotated("{}")));
    let (out, kinds) = rewrite(&mut rewriter(Endpoint::ChatCompletions), "data: {\"error\":\"x\"}\n\n");
    assert_eq!(out, "data: {\"error\":\"x\"}\n\n");
    assert!(matches!(&kinds[..], [FrameKind::Error(_)]));
}

#[test]
fn responses_events_name_the_model_inside_too() {
    let event = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":1,\"model\":\"a\",\"x\":{\"model\":\"a\"}}}\n\n";
    let (out, _) = rewrite(&mut later(Endpoint::Responses), event);
    assert_eq!(out, event.replacen("\"model\":\"a\"", "\"model\":\"pub\\\"lic\"", 1));
    let (out, _) = rewrite(&mut later(Endpoint::ChatCompletions), event);
    assert_eq!(out, event);
}

#[test]
fn errors_are_told_from_data() {
    for (frame, expected) in [
        ("data: {\"error\":{\"message\":\"m\",\"code\":529}}\n\n", Some((Some(529), "m"))),
        ("data: {\"error\":null}\n\n", None),
        ("event: error\ndata: {\"message\":\"m\",\"status\":500}\n\n", Some((Some(500), "m"))),
        ("event: error\ndata: broken\n\n", Some((None, "broken"))),
        ("data: {\"type\":\"error\",\"message\":\"m\",\"code\":\"server_error\"}\n\n", Some((None, "m"))),
        ("data: {\"type\":\"error\",\"error\":{\"message\":\"n\"}}\n\n", Some((None, "n"))),
        ("data: {\"type\":\"errors\"}\n\n", None),
    ] {
        for mut rewriter in [rewriter(Endpoint::ChatCompletions), plain(Endpoint::Responses)] {
            let kinds = rewrite(&mut rewriter, frame).1;
            let found = match &kinds[..] {
                [FrameKind::Error(fault)] => Some((fault.status, &*fault.message)),
                _ => None,
            };
            assert_eq!(found, expected, "{frame:?}");
            assert!(!rewriter.saw_content(), "{frame:?}");
        }
    }
}

#[test]
fn a_response_that_failed_is_an_error_and_any_other_is_not() {
    let event = |event: &str, error: &str| {
        format!("data: {{\"type\":\"response.{event}\",\"response\":{{\"model\":\"up\",\"error\":{error}}}}}\n\n")
    };
    let failed = event("failed", r#"{"code":"server_is_overloaded","message":"m"}"#);
    for mut rewriter in [rewriter(Endpoint::Responses), plain(Endpoint::Responses)] {
        assert_eq!(rewrite(&mut rewriter, &event("created", "null")).1, [FrameKind::Data]);
        let kinds = rewrite(&mut rewriter, &failed).1;
        let [FrameKind::Error(fault)] = &kinds[..] else { panic!("{kinds:?}") };
        assert_eq!((fault.code.as_deref(), &*fault.message), (Some("server_is_overloaded"), "m"));
    }
    let chat = rewrite(&mut plain(Endpoint::ChatCompletions), &failed).1;
    assert_eq!(chat, [FrameKind::Data], "only events of the Responses API wrap a response");
}

#[test]
fn the_keep_alive_comment_is_no_event() {
    let (out, kinds) = rewrite(&mut plain(Endpoint::ChatCompletions), std::str::from_utf8(crate::KEEP_ALIVE).unwrap());
    assert_eq!((&*out, &kinds[..]), ("", &[FrameKind::Dropped][..]));
    let between = [b"data: a\n\n", crate::KEEP_ALIVE, b"data: b\n\n"].concat();
    let (out, _) = rewrite(&mut plain(Endpoint::ChatCompletions), std::str::from_utf8(&between).unwrap());
    assert_eq!(out, "data: a\n\ndata: b\n\n");
}

#[test]
fn content_and_ends_are_seen() {
    use Endpoint::{ChatCompletions, Completions, Embeddings, Responses};
    for (endpoint, payload, content, end, wants_done) in [
        (ChatCompletions, r#"{"choices":[{"delta":{"role":"assistant"},"finish_reason":null}]}"#, false, false, false),
        (
            ChatCompletions,
            r#"{"choices":[{"delta":{"role":"assistant","content":"","refusal":null}}]}"#,
            false,
            false,
            false,
        ),
        (ChatCompletions, r#"{"choices":[{"delta":{"content":"x"}}]}"#, true, false, false),
        (ChatCompletions, r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#, true, false, false),
        (ChatCompletions, r#"{"choices":[{"delta":{"reasoning_content":"x"}}]}"#, true, false, false),
        (ChatCompletions, r#"{"choices":[{"delta":{}},{"delta":{},"finish_reason":"stop"}]}"#, false, true, true),
        (ChatCompletions, r#"{"choices":[{"delta":{},"finish_reason":""}]}"#, false, false, false),
        (ChatCompletions, r#"{"choices":[],"usage":{}}"#, false, false, false),
        (ChatCompletions, r#"{"choices":{"finish_reason":"x"},"x":[{"finish_reason":"x"}]}"#, false, false, false),
        (ChatCompletions, r#"{"choices":[1,null,{"delta":7}]}"#, false, false, false),
        (ChatCompletions, "[DONE]", false, true, false),
        (Completions, r#"{"choices":[{"text":"x","finish_reason":null}]}"#, true, false, false),
        (Completions, r#"{"choices":[{"text":"","finish_reason":"length"}]}"#, false, true, true),
        (Responses, r#"{"type":"response.created","response":{}}"#, false, false, false),
        (Responses, r#"{"type":"response.output_text.delta","delta":"x"}"#, true, false, false),
        (Responses, r#"{"type":"response.completed"}"#, false, true, false),
        (Responses, r#"{"type":"response.failed"}"#, false, true, false),
        (Responses, r#"{"type":"response.incomplete"}"#, false, true, false),
        (Embeddings, r#"{"x":1}"#, true, true, false),
    ] {
        for mut rewriter in [rewriter(endpoint), plain(endpoint)] {
            rewrite(&mut rewriter, &format!("data: {payload}\n\n"));
            let seen = (rewriter.saw_content(), rewriter.saw_end(), rewriter.wants_done());
            assert_eq!(seen, (content, end, wants_done), "{payload}");
        }
    }
    let mut rewriter = rewriter(ChatCompletions);
    rewrite(&mut rewriter, "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    assert!(rewriter.saw_end() && !rewriter.wants_done());
}

#[test]
fn a_stream_of_several_choices_ends_with_the_last_of_them() {
    let frame = |index: u32, reason: &str| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":{reason}}}]}}\n\n")
    };
    let mut rewriter = rewriter(Endpoint::ChatCompletions);
    rewrite(&mut rewriter, &(frame(0, "null") + &frame(1, "null") + &frame(0, "\"stop\"")));
    assert!(!rewriter.saw_end(), "the second choice is still open");
    rewrite(&mut rewriter, &frame(1, "\"stop\""));
    assert!(rewriter.saw_end() && rewriter.wants_done());
}
