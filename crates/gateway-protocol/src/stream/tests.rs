#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use gateway_sse::{MAX_EVENT, SseDecoder};
use proptest::prelude::*;

use super::*;
use crate::answer::tests::{annotated, answers, with_served};
use crate::json::tests::string;

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

#[test]
fn usage_is_read_from_the_frames() {
    use Endpoint::{ChatCompletions, Completions, Responses, Transcriptions};
    let chat = |usage: &str| format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n");
    let three = r#"{"prompt_tokens":3,"completion_tokens":2}"#;
    let usage = |prompt, completion| (Some(prompt), Some(completion));
    let responses = |event: &str| {
        format!(
            "data: {{\"type\":\"response.{event}\",\"response\":{{\"usage\":{{\"input_tokens\":3,\"output_tokens\":2}}}}}}\n\n"
        )
    };
    for (endpoint, stream, expected) in [
        (ChatCompletions, chat(three), usage(3, 2)),
        (Completions, chat(three), usage(3, 2)),
        (ChatCompletions, chat(three) + &chat("null") + &chat("{}") + "data: [DONE]\n\n", usage(3, 2)),
        (ChatCompletions, chat(three) + &chat(r#"{"prompt_tokens":3,"completion_tokens":9}"#), usage(3, 9)),
        (ChatCompletions, chat(r#"{"prompt_tokens":0,"completion_tokens":0}"#) + &chat(three), usage(3, 2)),
        (ChatCompletions, chat(three) + &chat(r#"{"prompt_tokens":0,"completion_tokens":0}"#), usage(3, 2)),
        (ChatCompletions, chat(r#"{"prompt_tokens":3}"#) + &chat(r#"{"completion_tokens":2}"#), usage(3, 2)),
        (ChatCompletions, chat("null") + &chat(r#"{"prompt_tokens":"3"}"#), (None, None)),
        (ChatCompletions, chat(three).replace("[]", r#"[{"delta":{},"finish_reason":"stop"}]"#), usage(3, 2)),
        (ChatCompletions, chat(three).replace("choices", "response"), usage(3, 2)),
        (ChatCompletions, chat(&format!("{{\"usage\":{three}}}")), (None, None)),
        (ChatCompletions, responses("completed"), (None, None)),
        (Responses, responses("completed"), usage(3, 2)),
        (Responses, responses("incomplete"), usage(3, 2)),
        (Responses, responses("created").replace(['2', '3'], "null"), (None, None)),
        (Transcriptions, format!("data: {{\"type\":\"transcript.text.done\",\"usage\":{three}}}\n\n"), usage(3, 2)),
    ] {
        for mut rewriter in [rewriter(endpoint), plain(endpoint), plain(endpoint).withholding_usage()] {
            rewrite(&mut rewriter, &stream);
            assert_eq!((rewriter.usage().prompt(), rewriter.usage().completion()), expected, "{stream}");
        }
    }
}

#[test]
fn content_is_measured_without_what_is_around_it() {
    use Endpoint::{ChatCompletions, Completions, Responses, Transcriptions};
    for (endpoint, payload, expected) in [
        (ChatCompletions, r#"{"choices":[{"delta":{"role":"assistant","content":"","refusal":null}}]}"#, 0),
        (ChatCompletions, r#"{"choices":[{"delta":{"content":"four"}}]}"#, 4),
        (ChatCompletions, r#"{"choices":[{"delta":{"content":"\u6a21\u578b\n"}}]}"#, 7),
        (ChatCompletions, r#"{"choices":[{"delta":{"content":"模型\n"}}]}"#, 7),
        (ChatCompletions, r#"{"choices":[{"delta":{"content":"ab"}},{"delta":{"reasoning_content":"cde"}}]}"#, 5),
        (ChatCompletions, r#"{"choices":[{"delta":{"content":[{"type":"text","text":"four"}]}}]}"#, 4),
        (
            ChatCompletions,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"#,
            3,
        ),
        (ChatCompletions, r#"{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{\"a\":1}"}}}]}"#, 8),
        (ChatCompletions, r#"{"choices":[{"delta":{"audio":{"id":"a","data":"UklGRg==","transcript":"four"}}}]}"#, 4),
        (ChatCompletions, r#"{"choices":[{"delta":{"content":{"content":{"text":"deeper"}},"refusal":7}}]}"#, 0),
        (ChatCompletions, r#"{"choices":[],"delta":"x","error":null}"#, 0),
        (ChatCompletions, r#"{"choices":[{"delta":{"content":"four"}}],"error":"e"}"#, 0),
        (Completions, r#"{"choices":[{"text":"four","finish_reason":null}]}"#, 4),
        (Responses, r#"{"type":"response.output_text.delta","item_id":"i","delta":"four"}"#, 4),
        (Responses, r#"{"type":"response.output_text.done","text":"four"}"#, 0),
        (Transcriptions, r#"{"type":"transcript.text.delta","delta":"four"}"#, 4),
        (ChatCompletions, "four", 0),
    ] {
        let mut rewriter = plain(endpoint);
        rewrite(&mut rewriter, &format!("data: {payload}\n\n"));
        assert_eq!(rewriter.content_bytes(), expected, "{payload}");
        rewrite(&mut rewriter, &format!("data: {payload}\n\n"));
        assert_eq!(rewriter.content_bytes(), 2 * expected, "{payload}");
    }
}

#[test]
fn only_usage_that_the_caller_did_not_ask_for_is_withheld() {
    let usage = r#"{"prompt_tokens":3,"completion_tokens":2}"#;
    for (endpoint, payload, expected) in [
        (Endpoint::ChatCompletions, format!(r#"{{"model":"a","choices":[],"usage":{usage}}}"#), None),
        (Endpoint::Completions, format!(r#"{{"usage":{usage},"choices":[ ]}}"#), None),
        (Endpoint::ChatCompletions, format!(r#"{{"choices":null,"usage":{usage}}}"#), None),
        (Endpoint::ChatCompletions, r#"{"choices":[],"usage":{"prompt_tokens":"many"}}"#.to_owned(), None),
        (Endpoint::ChatCompletions, r#"{"choices":[],"usage":null,"x":1}"#.to_owned(), Some(r#"{"choices":[],"x":1}"#)),
        (Endpoint::ChatCompletions, r#"{"choices":[{}] , "usage" : null }"#.to_owned(), Some(r#"{"choices":[{}] }"#)),
        (Endpoint::ChatCompletions, r#"{"usage":null , "choices":[{}]}"#.to_owned(), Some(r#"{"choices":[{}]}"#)),
        (Endpoint::ChatCompletions, r#"{"usage":null}"#.to_owned(), Some("{}")),
        (Endpoint::ChatCompletions, r#"{"choices":[],"prompt_filter_results":[{}]}"#.to_owned(), Some("the same")),
        (Endpoint::ChatCompletions, r#"{"choices":[{"usage":null}]}"#.to_owned(), Some("the same")),
        (Endpoint::ChatCompletions, format!(r#"{{"choices":[{{"delta":{{}}}}],"usage":{usage}}}"#), Some("the same")),
        (Endpoint::ChatCompletions, r#"{"choices":[],"usage":7}"#.to_owned(), Some("the same")),
        (Endpoint::ChatCompletions, format!(r#"{{"choices":[],"usage":{usage},"error":"e"}}"#), Some("the same")),
        (Endpoint::Responses, format!(r#"{{"usage":{usage}}}"#), Some("the same")),
        (Endpoint::Responses, r#"{"type":"response.created","usage":null}"#.to_owned(), Some("the same")),
    ] {
        let framed = |payload: &str| format!("event: x\ndata: {payload}\n\n");
        let expected = expected.map(|text| framed(if text == "the same" { &payload } else { text }));
        for rewriter in [plain(endpoint), later(endpoint)] {
            let (out, kinds) = rewrite(&mut rewriter.withholding_usage(), &framed(&payload));
            assert_eq!(kinds == [FrameKind::Dropped], expected.is_none(), "{payload}");
            assert_eq!(out, expected.clone().unwrap_or_default(), "{payload}");
        }
        let (out, _) = rewrite(&mut plain(endpoint), &framed(&payload));
        assert_eq!(out, framed(&payload), "a caller who asked gets it");
    }
}

#[test]
fn a_withheld_frame_does_not_take_the_gateway_member_with_it() {
    let stream = "data: {\"choices\":[],\"usage\":{}}\n\ndata: {\"usage\":null,\"choices\":[]}\n\ndata: [DONE]\n\n";
    let (out, kinds) = rewrite(&mut rewriter(Endpoint::ChatCompletions).withholding_usage(), stream);
    assert_eq!(out, format!("data: {}\n\ndata: [DONE]\n\n", annotated("{\"choices\":[]}")));
    assert_eq!(kinds, [FrameKind::Dropped, FrameKind::Data, FrameKind::Done]);
}

/// One frame of a stream whose usage was asked for, and how it looks to a caller who did not ask.
fn asked_frame() -> impl Strategy<Value = (String, String)> {
    let members = prop_oneof![
        r#""choices":\[\{"index":[01],"delta":\{"content":"[a-z模]{0,5}"\}(,"finish_reason":"stop")?\}\]"#,
        r#""choices":\[\],"x":\{"usage":null\}"#,
        r#""model":"a","choices":\[\{\}\],"usage":\{"prompt_tokens":[1-9]\}"#,
    ];
    let nulled = (members, any::<bool>(), "(data: |data:)").prop_map(|(members, first, data)| {
        let comma = if members.contains("\"usage\":{") { None } else { Some("\"usage\":null") };
        let asked = match comma {
            None => members.clone(),
            Some(null) if first => format!("{null},{members}"),
            Some(null) => format!("{members},{null}"),
        };
        (format!("{data}{{{asked}}}\n\n"), format!("{data}{{{members}}}\n\n"))
    });
    let same = prop_oneof![Just("data: [DONE]\n\n"), Just(": comment\n\n"), Just("data: hello\n\n")];
    prop_oneof![
        6 => nulled,
        1 => same.prop_map(|frame| (frame.to_owned(), frame.to_owned())),
        1 => "data: \\{\"choices\":\\[\\],\"usage\":\\{\"total_tokens\":[1-9]\\}\\}\n\n".prop_map(|frame| (frame, String::new())),
    ]
}

/// What a rewriter has seen, apart from the usage.
fn seen(rewriter: &StreamRewriter) -> (bool, u64, bool, bool) {
    (rewriter.saw_content(), rewriter.content_bytes(), rewriter.saw_end(), rewriter.wants_done())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_caller_who_did_not_ask_gets_the_stream_as_if_nobody_had(
        frames in prop::collection::vec(asked_frame(), 0..8),
        is_plain in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let made = |is_plain| if is_plain { plain(Endpoint::ChatCompletions) } else { rewriter(Endpoint::ChatCompletions) };
        let (asked, unasked): (Vec<_>, Vec<_>) = frames.into_iter().unzip();
        let (mut withholding, mut unaware) = (made(is_plain).withholding_usage(), made(is_plain));
        let expected = rewrite(&mut unaware, &unasked.concat()).0;
        prop_assert_eq!(rewrite(&mut withholding, &asked.concat()).0, &*expected);
        prop_assert_eq!(seen(&withholding), seen(&unaware));

        let mut open = made(is_plain);
        rewrite(&mut open, &asked.concat());
        prop_assert_eq!(withholding.usage(), open.usage());

        let mut chunked = made(is_plain).withholding_usage();
        let mut out = BytesMut::new();
        for frame in chunked_frames(&asked.concat(), &cuts) {
            chunked.frame(&frame, &mut out);
        }
        prop_assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
        prop_assert_eq!((seen(&chunked), chunked.usage()), (seen(&withholding), withholding.usage()));
    }
}

/// The frames of a stream that arrives in chunks.
fn chunked_frames(stream: &str, cuts: &[prop::sample::Index]) -> Vec<Frame> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
    places.sort_unstable();
    let mut decoder = SseDecoder::new(MAX_EVENT);
    places.windows(2).for_each(|pair| decoder.push(Bytes::copy_from_slice(&stream.as_bytes()[pair[0]..pair[1]])));
    std::iter::from_fn(|| decoder.next_frame().unwrap()).collect()
}

/// The payload of a frame as vendors send them, with a text, a number and a padding of its own.
fn vendor_frame() -> impl Strategy<Value = String> {
    let parts = (0..6_u8, string(), "-?[0-9]{1,3}(\\.5)?", "[a-z\"]{0,6}", prop::option::of(0..400_usize));
    parts.prop_map(|(vendor, text, number, padding, damage)| {
        let frame = match vendor {
            0 => format!(r#"{{"id":"c","model":"a","choices":[{{"index":0,"delta":{{"content":{text}}},"finish_reason":null}}]}}"#),
            1 => format!(r#"{{"choices":[{{"index":0,"delta":{{"content":{text}}}}}],"model":"a","usage":null,"obfuscation":"{padding}"}}"#),
            2 => format!(r#"{{"type":"response.output_text.delta","sequence_number":{number},"delta":{text},"obfuscation":"{padding}"}}"#),
            3 => format!(r#"{{"gateway":1,"choices":[{{"delta":{{"reasoning":null,"content":{text}}}}},{{"index":1,"text":{text}}}]}}"#),
            4 => format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"function":{{"arguments":{text}}}}}],"content":{text}}}}}]}}"#),
            _ => format!(r#"{{"model":"a","choices":[{{"delta":{{"content":{text}}},"finish_reason":"stop"}}],"usage":{{"total_tokens":{number}}}}}"#),
        };
        let mut bytes = frame.into_bytes();
        if let Some(at) = damage.filter(|at| *at < bytes.len()) {
            bytes.remove(at);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_frame_like_one_before_is_read_as_if_there_had_been_none(
        payloads in prop::collection::vec(vendor_frame(), 1..12),
        endpoint in prop::sample::select(vec![Endpoint::ChatCompletions, Endpoint::Responses, Endpoint::Embeddings]),
        withholds: bool,
    ) {
        let with = || if withholds { rewriter(endpoint).withholding_usage() } else { rewriter(endpoint) };
        let (mut usual, mut forgetful) = (with(), with());
        for payload in &payloads {
            let stream = format!("data: {payload}\n\n");
            forgetful.pattern = Pattern::default();
            prop_assert_eq!(rewrite(&mut usual, &stream), rewrite(&mut forgetful, &stream));
            let seen = |it: &StreamRewriter| (it.saw_content, it.content_bytes, it.usage, it.saw_end(), it.wants_done());
            prop_assert_eq!(seen(&usual), seen(&forgetful));
        }
    }
}

#[test]
fn frames_of_one_kind_are_compared_rather_than_read() {
    let frame = |text: &str, number: u32| {
        format!(
            "data: {{\"model\":\"a\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}],\"sequence_number\":{number}}}\n\n"
        )
    };
    let mut rewriter = later(Endpoint::ChatCompletions);
    rewrite(&mut rewriter, &frame("", 1));
    assert!(!rewriter.saw_content());
    // What was noted while reading is left alone by comparing.
    rewriter.notes.holes.clear();
    let (out, kinds) = rewrite(&mut rewriter, &frame("\\u00e9 \\n", 20));
    assert_eq!((out, kinds), (frame("\\u00e9 \\n", 20).replace("\"a\"", "\"pub\\\"lic\""), vec![FrameKind::Data]));
    assert_eq!((rewriter.saw_content(), rewriter.content_bytes(), rewriter.notes.holes.len()), (true, 4, 0));
}
