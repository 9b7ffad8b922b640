#![allow(clippy::unwrap_used)]

use gateway_call::Endpoint;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::json::tests::{member, object, value};
use crate::parse_json;

/// The prompt of a request with these members besides its model.
fn prompt(members: &str) -> Prompt {
    let body = format!(r#"{{"model":"m",{members}}}"#);
    parse_json(Endpoint::ChatCompletions, Bytes::from(body)).unwrap().prompt
}

fn texts(members: &str) -> Vec<String> {
    prompt(members).texts().map(Cow::into_owned).collect()
}

#[test]
fn every_apis_texts_are_found() {
    for (members, expected) in [
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]}]"#,
            &["a", "b"][..],
        ),
        (r#""prompt":"a""#, &["a"]),
        (r#""prompt":["a","b",["c"]],"suffix":"d""#, &["a", "b", "c", "d"]),
        (r#""input":"a","instructions":"b""#, &["a", "b"]),
        (r#""input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]"#, &["a"]),
        (r#""system":[{"type":"text","text":"a"}]"#, &["a"]),
        (r#""query":"a","documents":["b",{"id":"x","text":"c"}]"#, &["a", "b", "c"]),
        (
            r#""tools":[{"type":"function","function":{"name":"a","description":"b","parameters":{"type":"object"}}}]"#,
            &["a", "b"],
        ),
        (
            r#""messages":[{"tool_calls":[{"id":"call_1","function":{"name":"a","arguments":"{\"b\":1}"}}]}]"#,
            &["a", r#"{"b":1}"#],
        ),
        (r#""messages":"\u0061\n\"\ud83d\ude00""#, &["a\n\"😀"]),
        (r#""m\u0065ssages":["a"],"messages":["b"]"#, &["a", "b"]),
        (r#""prompt":"","messages":[],"input":{},"tools":null"#, &[]),
        (r#""user":"a","metadata":{"messages":"b"},"stop":["c"],"max_tokens":7"#, &[]),
    ] {
        assert_eq!(texts(members), expected, "{members}");
    }
}

#[test]
fn media_are_no_text() {
    for (part, expected) in [
        (r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"high"}}"#, &[][..]),
        (r#"{"type":"image_url","image_url":"https://example.com/a.png"}"#, &[]),
        (r#"{"type":"input_image","image_url":"data:image\/png;base64,iV\/BOR="}"#, &[]),
        (r#"{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}"#, &[]),
        (r#"{"type":"file","file":{"file_data":"JVBERi0x\nLjQK","filename":"a.pdf"}}"#, &["a.pdf"]),
        (r#"{"type":"reasoning","summary":[{"text":"a"}],"encrypted_content":"gAAAA"}"#, &["a"]),
        (r#"{"images":["iVBORw0KGgo=","R0lGOD"]}"#, &[]),
        (r#"{"text":"data:image/png;base64,iVBORw0KGgo="}"#, &[]),
        // Whatever a model could read behind it is counted, and so is what only looks like an address.
        (r#"{"text":"data:image/png;base64,iVBO what is \"this\"?"}"#, &[" what is \"this\"?"]),
        (r#"{"text":"data:image/png;base64,iVBO\"quoted\""}"#, &["\"quoted\""]),
        (r#"{"text":"data: {\"a\":1}"}"#, &["data: {\"a\":1}"]),
        (r#"{"text":"data:text/plain,hello"}"#, &["data:text/plain,hello"]),
        (r#"{"text":"data: see a;base64,b"}"#, &["data: see a;base64,b"]),
        (r#"{"data":"a text in words"}"#, &[" text in words"]),
        (r#"{"data":{"title":"a","snippet":"b"}}"#, &["a", "b"]),
    ] {
        assert_eq!(texts(&format!(r#""messages":[{{"content":[{part}]}}]"#)), expected, "{part}");
    }
}

#[test]
fn a_label_is_short() {
    let short = "x".repeat(MAX_LABEL);
    let long = "x".repeat(MAX_LABEL + 1);
    let members = format!(r#""documents":[{{"id":"{short}","format":"{long}","type":["a","{long}"]}}]"#);
    assert_eq!(texts(&members), [long.as_str(), &long]);
}

#[test]
fn a_name_holds_for_its_list_and_not_beyond_it() {
    let members = r#""input":[{"images":["iVBO",["R0lG"],{"caption":"a"},"iVBO"],"note":"b"},"c"]"#;
    assert_eq!(texts(members), ["a", "b", "c"]);
}

#[test]
fn tokens_may_stand_as_numbers() {
    for (members, expected) in [
        (r#""prompt":[1,2,3]"#, 3),
        (r#""input":[[1,2],[3],[]]"#, 3),
        (r#""input":["a",1,-1,1.5]"#, 3),
        (r#""input":7"#, 0),
        (r#""input":[{"x":[1,2]}],"messages":[1],"n":3,"stop":[1]"#, 0),
        (r#""input":"1 2 3""#, 0),
    ] {
        let prompt = prompt(members);
        assert_eq!(prompt.numbers(), expected, "{members}");
        assert!(!prompt.is_empty() && prompt.len() > members.len());
    }
}

#[test]
fn multipart_requests_have_no_prompt() {
    let prompt = Prompt::default();
    assert_eq!((prompt.texts().next(), prompt.numbers(), prompt.len()), (None, 0, 0));
    assert!(prompt.is_empty());
}

#[test]
fn what_lies_deeper_than_any_api_goes_is_skipped() {
    let nested = |depth: usize| format!(r#""input":{}"a"{},"query":"b""#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(texts(&nested(127)), ["a", "b"]);
    assert_eq!(texts(&nested(128)), ["b"]);
    assert_eq!(texts(&nested(1_000_000)), ["b"]);
}

#[test]
fn texts_without_escapes_are_not_copied() {
    let prompt = prompt(r#""messages":[{"content":"plain"},{"content":"\u0065scaped"}]"#);
    let copied: Vec<_> = prompt.texts().map(|text| matches!(text, Cow::Owned(_))).collect();
    assert_eq!(copied, [false, true]);
}

#[test]
fn half_a_surrogate_pair_is_passed_over_and_what_is_around_it_counts() {
    assert_eq!(texts(r#""input":["a\ud800b","c"]"#), [r"a\ud800b", "c"]);
}

#[test]
fn the_length_of_the_texts_leaves_out_media_and_labels() {
    let body = r#""messages":[{"role":"user","content":[{"type":"text","text":"a\nb"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"input_text","text":"data:image/png;base64,AAAA"}]}],"input":[1,2]"#;
    assert_eq!(prompt(body).text_len(), r"a\nb".len());
}

/// The definition, for a value without media and labels, and without halves of surrogate pairs.
fn reference(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => found.push(text.clone()),
        Value::Array(elements) => elements.iter().for_each(|element| reference(element, found)),
        Value::Object(members) => members.values().for_each(|value| reference(value, found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_walk_agrees_with_the_tree(value in value()) {
        // The tree has each member once and refuses what is not Unicode; what it cannot show is left to the tables.
        let Ok(tree) = serde_json::from_str::<Value>(&value) else { return Ok(()) };
        let body = serde_json::json!({ "model": "m", "other": tree, "messages": tree, "n": 1 });
        let mut expected = Vec::new();
        reference(&tree, &mut expected);
        let prompt = parse_json(Endpoint::ChatCompletions, Bytes::from(body.to_string())).unwrap().prompt;
        prop_assert_eq!(prompt.texts().map(Cow::into_owned).collect::<Vec<_>>(), expected.clone());
        // With its escapes a text is no shorter.
        let least: usize = expected.iter().filter(|text| !text.starts_with("data:")).map(String::len).sum();
        prop_assert!((least..=prompt.len()).contains(&prompt.text_len()));
    }

    #[test]
    fn large_bodies_are_measured_as_a_walk_would(
        members in prop::collection::vec(member("\"(input|messages|data|tools|\\\\u0073ystem|x)\"", value()), 1..6),
    ) {
        let padding = "x".repeat(MEASURED_FROM);
        let body = format!(r#"{{"model":"m","user":"{padding}",{}"#, &object(&members, "")[1..]);
        let prompt = parse_json(Endpoint::ChatCompletions, Bytes::from(body.clone())).unwrap().prompt;
        prop_assert!(prompt.text_len.is_some());
        prop_assert_eq!(prompt.text_len(), Prompt::new(Bytes::from(body), None).text_len());
    }

    #[test]
    fn no_request_stops_the_walk(
        members in prop::collection::vec(member("\"(input|prompt|messages|data|tools|x)\"", value()), 1..4),
    ) {
        let inner = object(&members, "");
        let behind = format!(r#"{{"model":"m","input":{inner},"prompt":[{inner}],"query":"the last"}}"#);
        let prompt = parse_json(Endpoint::ChatCompletions, Bytes::from(behind)).unwrap().prompt;
        let last = prompt.texts().last();
        prop_assert_eq!(last.as_deref(), Some("the last"));
        prompt.numbers();
    }
}
