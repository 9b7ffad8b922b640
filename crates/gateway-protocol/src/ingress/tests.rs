#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use gateway_call::Tightening;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::*;
use crate::guard::Spelling;
use crate::json::tests::{MemberText, member, object, string, value, whitespace};

const ENDPOINT: Endpoint = Endpoint::ChatCompletions;

fn parse(body: &str) -> Result<ParsedRequest, RequestError> {
    parse_json(ENDPOINT, Bytes::copy_from_slice(body.as_bytes()))
}

fn fill(request: &ParsedRequest, name: &str) -> String {
    let filled = request.template.fill(&ModelName::from(name));
    String::from_utf8(filled.into_bytes().to_vec()).unwrap()
}

fn models(request: &ParsedRequest) -> Vec<&str> {
    request.call.models.iter().map(ModelName::as_str).collect()
}

fn free_member() -> impl Strategy<Value = MemberText> {
    let name = string()
        .prop_filter("is guarded", |name| Scanner::new(name.as_bytes()).string().map(judge_json) == Ok(Spelling::Free));
    member(name, value())
}

fn guarded_member(name: &'static str, value: impl Strategy<Value = String>) -> impl Strategy<Value = MemberText> {
    member(Just(format!("\"{name}\"")), value)
}

/// Members that only the gateway reads: any of the three, with any white space inside.
fn removed_members() -> impl Strategy<Value = Vec<MemberText>> {
    let list = (whitespace(), whitespace()).prop_map(|(a, b)| format!("[{a}\"first\"{b},{a}\"second\"]")).boxed();
    let gateway = (whitespace(), whitespace()).prop_map(|(a, b)| format!("{{{a}\"models\"{b}:{a}[\"third\"]{b}}}"));
    let all =
        (guarded_member("gateway", gateway), guarded_member("models", list.clone()), guarded_member("fallbacks", list));
    (all, any::<[bool; 3]>()).prop_map(|((gateway, models, fallbacks), present)| {
        [gateway, models, fallbacks]
            .into_iter()
            .zip(present)
            .filter_map(|(member, present)| present.then_some(member))
            .collect()
    })
}

/// An object that asks for usage in one way or another.
fn options() -> impl Strategy<Value = String> {
    let usage = guarded_member("include_usage", "(true|false|null|7)");
    let other = member("\"[a-c]\"", value());
    (prop::collection::vec(usage, 0..3), prop::collection::vec(other, 0..2), any::<Index>()).prop_map(
        |(usage, mut members, place)| {
            insert_anywhere(&mut members, usage, &[place, place]);
            object(&members, " ")
        },
    )
}

/// The names and values of an object's members; none for anything else.
fn members_of(text: &str) -> Vec<(String, String)> {
    let mut members = Vec::new();
    Scanner::new(text.as_bytes())
        .object(|scanner, key| {
            let value = scanner.value()?;
            members.push((text[key.start..key.end()].to_owned(), text[value].to_owned()));
            Ok(())
        })
        .unwrap();
    members
}

fn insert_anywhere(members: &mut Vec<MemberText>, new: Vec<MemberText>, places: &[Index]) {
    for (member, place) in new.into_iter().zip(places) {
        members.insert(place.index(members.len() + 1), member);
    }
}

/// Checks that `text` is an object of exactly these members, each with its own bytes, and nothing but white space and
/// commas besides.
fn assert_members(text: &str, cores: &[String]) -> Result<(), TestCaseError> {
    prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
    let mut rest = text;
    for (index, core) in cores.iter().enumerate() {
        let opening = if index == 0 { '{' } else { ',' };
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        rest = rest.strip_prefix(opening).ok_or_else(|| TestCaseError::fail(format!("no {opening} before {rest}")))?;
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        rest = rest.strip_prefix(core.as_str()).ok_or_else(|| TestCaseError::fail(format!("no {core} in {rest}")))?;
    }
    let end = rest.trim_matches([' ', '\t', '\r', '\n']);
    prop_assert!(end == "}" || (cores.is_empty() && end.starts_with('{')), "{text}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn only_the_models_name_changes(
        mut members in prop::collection::vec(free_member(), 0..5),
        model in prop_oneof![guarded_member("model", Just("\"a\"".to_owned())), guarded_member("model_id", Just("\"a\"".to_owned()))],
        stream in guarded_member("stream", "(true|false|null)"),
        places in any::<[Index; 2]>(),
        around in (whitespace(), whitespace()),
        long in 0..2_usize,
    ) {
        let is_stream = stream.value == "true";
        insert_anywhere(&mut members, vec![model, stream], &places);
        // Beyond the limit up to which bodies are joined, the other way of filling is at work.
        let pad = format!("{{\"pad\":\"{}\"}}", "x".repeat(5000 * long));
        members[0].value = if members[0].name.contains("model") || members[0].name.contains("stream") { members[0].value.clone() } else { pad };
        let body = format!("{}{}{}", around.0, object(&members, ""), around.1);
        let mut expected = members.clone();
        for member in &mut expected {
            if member.name == "\"model\"" || member.name == "\"model_id\"" {
                member.name = "\"model\"".to_owned();
                member.value = "\"up/\\\"stream\\\"\"".to_owned();
            }
        }
        let expected = format!("{}{}{}", around.0, object(&expected, ""), around.1);
        let request = parse(&body).unwrap();
        prop_assert_eq!(fill(&request, "up/\"stream\""), expected);
        prop_assert_eq!(request.call.stream, is_stream);
    }

    #[test]
    fn cutting_members_out_leaves_an_object_of_the_others(
        mut members in prop::collection::vec(free_member(), 0..4),
        removed in removed_members(),
        model in prop::option::of(guarded_member("model", Just("\"a\"".to_owned()))),
        places in any::<[Index; 4]>(),
        empty in whitespace(),
    ) {
        insert_anywhere(&mut members, removed.clone(), &places);
        insert_anywhere(&mut members, model.clone().into_iter().collect(), &places[3..]);
        let parsed = parse(&object(&members, &empty));
        if model.is_none() && removed.is_empty() {
            prop_assert_eq!(parsed.unwrap_err(), RequestError::MissingModel);
            return Ok(());
        }
        let is_removed = |member: &&MemberText| !matches!(&*member.name, "\"gateway\"" | "\"models\"" | "\"fallbacks\"");
        let mut cores: Vec<_> = members.iter().filter(is_removed).map(MemberText::core).collect();
        if let Some(model) = &model {
            let at = cores.iter().position(|core| *core == model.core()).unwrap();
            cores[at] = format!("{}{}\"up\"", model.name, model.colon);
        } else {
            cores.insert(0, "\"model\":\"up\"".to_owned());
        }
        assert_members(&fill(&parsed.unwrap(), "up"), &cores)?;
    }

    #[test]
    fn asking_for_usage_adds_it_and_changes_nothing_else(
        mut members in prop::collection::vec(free_member(), 0..4),
        model in prop::option::of(guarded_member("model", Just("\"a\"".to_owned()))),
        options in prop::option::of(guarded_member("stream_options", prop_oneof![1 => value(), 3 => options()])),
        removed in removed_members(),
        stream in guarded_member("stream", Just("true".to_owned())),
        places in any::<[Index; 6]>(),
        long in 0..2_usize,
    ) {
        insert_anywhere(&mut members, model.into_iter().chain(options).chain([stream]).collect(), &places);
        insert_anywhere(&mut members, removed, &places[3..]);
        // Beyond the limit up to which bodies are joined, the other way of filling is at work.
        let body = object(&members, "").replacen('{', &format!("{{{}", " ".repeat(5000 * long)), 1);
        let Ok(request) = parse(&body) else { return Ok(()) };
        let (unasked, asking) = (fill(&request, "up"), fill_asking(&request, "up"));
        prop_assert_eq!(request.template.can_ask_usage(), unasked != asking);
        if unasked == asking {
            return Ok(());
        }
        prop_assert!(!request.usage_asked);
        let (before, mut behind) = (members_of(&unasked), members_of(&asking));
        let at = behind.iter().position(|member| member.0 == "stream_options").unwrap();
        let wishes = members_of(&behind[at].1).into_iter().filter(|member| member.0 == "include_usage");
        prop_assert_eq!(wishes.map(|member| member.1).collect::<Vec<_>>(), ["true"]);
        match before.get(at).filter(|member| member.0 == "stream_options") {
            None => {
                prop_assert_eq!(asking.replacen(",\"stream_options\":{\"include_usage\":true}", "", 1), unasked);
            }
            Some(member) => {
                let others = |options: &str| {
                    members_of(options).into_iter().filter(|member| member.0 != "include_usage").collect::<Vec<_>>()
                };
                prop_assert_eq!(others(&behind[at].1), others(&member.1));
                behind[at] = member.clone();
                prop_assert_eq!(behind, before);
            }
        }
    }

    #[test]
    fn a_second_spelling_is_refused_wherever_it_stands(
        mut members in prop::collection::vec(free_member(), 0..4),
        pair in prop::sample::select(vec![
            ("model", "model"), ("model", "Model"), ("model", "model_id"), ("model", r"mod\u0065l"), ("model", "MODEL_ID"),
            ("stream", "stream"), ("stream", "\u{17f}tream"), ("stream", r"\u0053tream"),
            ("stream_options", "stream_options"), ("stream_options", "Stream_Options"),
        ]),
        places in any::<[Index; 2]>(),
        values in (value(), whitespace()),
    ) {
        let good = if pair.0 == "model" { "\"a\"" } else { "true" };
        let text = |name: &str, value: &str| format!("\"{name}\":{value}");
        let mut texts: Vec<_> = members.drain(..).map(|member| member.around(&member.core())).collect();
        let first = places[0].index(texts.len() + 1);
        texts.insert(first, text(pair.0, good));
        let behind = first + 1 + places[1].index(texts.len() - first);
        texts.insert(behind, text(pair.1, &values.0));
        let refused = parse(&format!("{{{}}}", texts.join(","))).unwrap_err();
        let is_duplicate = matches!(refused, RequestError::DuplicateField { field } if field == pair.0 || field == "model_id");
        prop_assert!(is_duplicate, "{refused:?}");
    }

    #[test]
    fn no_text_panics_and_what_passes_is_json(text in r#"([\[\]{}:,"]|"(model|stream|gateway|models|tags)"|[0-9]|\\|null|true|é| ){0,14}"#) {
        if let Ok(request) = parse(&text) {
            prop_assert!(serde_json::from_str::<Value>(&fill(&request, "up")).is_ok(), "{}", text);
        }
    }
}

#[test]
fn cuts_are_exact() {
    for (body, expected) in [
        (r#"{"gateway":{},"model":"a"}"#, r#"{"model":"up"}"#),
        (r#"{ "gateway" : {} , "model" : "a" }"#, r#"{ "model" : "up" }"#),
        (r#"{"model":"a" , "gateway":{} }"#, r#"{"model":"up" }"#),
        (r#"{"gateway":{},"models":[],"model":"a","fallbacks":null,"n":1}"#, r#"{"model":"up","n":1}"#),
        (r#"{"models":["a"]}"#, r#"{"model":"up"}"#),
        (r#"{ "models":["a"] , "gateway":null }"#, r#"{"model":"up"  }"#),
        (r#"{"n":1e400,"models":["a"]}"#, r#"{"model":"up","n":1e400}"#),
        (r#"{"model_id":"a","n":1}"#, r#"{"model":"up","n":1}"#),
        (r#"{"model":null,"gateway":{"models":["a"]}}"#, r#"{"model":"up"}"#),
        (r#"{"m":{"model":"x","gateway":{}},"model":"a"}"#, r#"{"m":{"model":"x","gateway":{}},"model":"up"}"#),
    ] {
        assert_eq!(fill(&parse(body).unwrap(), "up"), expected, "{body}");
    }
}

/// The body as it goes out if the gateway asks for the usage of the stream.
fn fill_asking(request: &ParsedRequest, name: &str) -> String {
    let filled = request.template.fill_asking_usage(&ModelName::from(name));
    String::from_utf8(filled.into_bytes().to_vec()).unwrap()
}

#[test]
fn usage_is_asked_for_where_the_caller_did_not() {
    for (body, expected) in [
        (r#"{"model":"a","stream":true}"#, r#"{"model":"up","stream_options":{"include_usage":true},"stream":true}"#),
        (
            r#"{"stream":true,"model_id":"a" }"#,
            r#"{"stream":true,"model":"up","stream_options":{"include_usage":true} }"#,
        ),
        (
            r#"{"stream":true,"models":["a"]}"#,
            r#"{"model":"up","stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"model":"a","gateway":{},"stream":true}"#,
            r#"{"model":"up","stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"stream_options":null,"stream":true,"model":"a"}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true,"model":"up"}"#,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options" : { } }"#,
            r#"{"model":"up","stream":true,"stream_options" : {"include_usage":true } }"#,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{ "include_obfuscation":false}}"#,
            r#"{"model":"up","stream":true,"stream_options":{"include_usage":true, "include_obfuscation":false}}"#,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"x":1,"include_usage": false ,"y":{"include_usage":false}}}"#,
            r#"{"model":"up","stream":true,"stream_options":{"x":1,"include_usage": true ,"y":{"include_usage":false}}}"#,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"include\u005fusage":null}}"#,
            r#"{"model":"up","stream":true,"stream_options":{"include\u005fusage":true}}"#,
        ),
    ] {
        let request = parse(body).unwrap();
        assert!(request.template.can_ask_usage() && !request.usage_asked, "{body}");
        assert_eq!(fill_asking(&request, "up"), expected);
        let unasked = fill(&request, "up");
        assert_eq!(unasked.replace("model_id", "model"), unasked, "nothing but the name changes: {body}");
        assert_eq!(unasked.matches("include_usage").count(), body.matches("include_usage").count(), "{body}");
    }
}

#[test]
fn usage_is_not_asked_for_where_there_is_none_or_the_caller_did() {
    let asked = r#"{"model":"a","stream":true,"stream_options":{"include_usage":true}}"#;
    for (endpoint, body, usage_asked) in [
        (Endpoint::ChatCompletions, asked, true),
        (Endpoint::Completions, asked, true),
        (Endpoint::ChatCompletions, r#"{"model":"a","stream_options":{"include_usage":false}}"#, false),
        (Endpoint::ChatCompletions, r#"{"model":"a","stream":false,"stream_options":null}"#, false),
        (Endpoint::ChatCompletions, r#"{"model":"a"}"#, false),
        (Endpoint::ChatCompletions, r#"{"model":"a","stream":true,"stream_options":7}"#, false),
        (Endpoint::ChatCompletions, r#"{"model":"a","stream":true,"stream_options":["include_usage"]}"#, false),
        (Endpoint::Responses, r#"{"model":"a","stream":true,"stream_options":{"include_obfuscation":true}}"#, false),
        (Endpoint::Responses, r#"{"model":"a","stream":true}"#, false),
        (Endpoint::Speech, r#"{"model":"a","stream":true}"#, false),
    ] {
        let request = parse_json(endpoint, Bytes::copy_from_slice(body.as_bytes())).unwrap();
        assert_eq!((request.usage_asked, request.template.can_ask_usage()), (usage_asked, false), "{body}");
        assert_eq!(fill_asking(&request, "up"), body.replace("\"a\"", "\"up\""));
        assert_eq!(fill(&request, "up"), fill_asking(&request, "up"));
    }
}

#[test]
fn the_size_of_the_answer_is_read() {
    for (members, max_tokens, choices) in [
        ("", None, 1),
        (r#","max_tokens":100"#, Some(100), 1),
        (r#","max_completion_tokens":200,"max_tokens":100,"n":3"#, Some(200), 3),
        (r#","max_output_tokens":50,"n":2,"best_of":5"#, Some(50), 5),
        (r#","max_tokens":10,"max_tokens":20,"max_tokens":5"#, Some(20), 1),
        (r#","max\u005ftokens":10"#, Some(10), 1),
        (r#","max_tokens":0,"n":0"#, Some(0), 1),
        (r#","max_tokens":-1,"n":-4"#, None, 1),
        (r#","max_tokens":"100","n":null"#, None, 1),
        (r#","max_tokens":1e3,"n":2.0,"best_of":[3]"#, Some(1000), 2),
        (r#","max_tokens":1.5,"n":0.5"#, None, 1),
        (r#","max_tokens":99999999999999999999"#, None, 1),
        (r#","x":{"max_tokens":100,"n":3}"#, None, 1),
    ] {
        let body = format!(r#"{{"model":"a"{members}}}"#);
        assert_eq!(parse(&body).unwrap().sizing, Sizing { max_tokens, choices }, "{body}");
    }
}

#[test]
fn large_bodies_are_not_copied() {
    let body = Bytes::from(format!(r#"{{"input":"{}","model":"a","n":1}}"#, "x".repeat(100_000)));
    let request = parse_json(ENDPOINT, body.clone()).unwrap();
    let pieces: Vec<_> = request.template.fill(&ModelName::from("up")).into_iter().collect();
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[0].as_ptr(), body.as_ptr());
    assert_eq!(pieces[2].as_ptr(), body[body.len() - pieces[2].len()..].as_ptr());

    let body = Bytes::from(format!(r#"{{"input":"{}","model":"a","stream":true}}"#, "x".repeat(100_000)));
    let request = parse_json(ENDPOINT, body.clone()).unwrap();
    let name = ModelName::from("up");
    assert_eq!(request.template.fill(&name).into_iter().count(), 3);
    let pieces: Vec<_> = request.template.fill_asking_usage(&name).into_iter().collect();
    assert_eq!(pieces.len(), 4);
    assert_eq!(pieces[0].as_ptr(), body.as_ptr());
}

#[test]
fn a_template_is_filled_for_one_target_after_another() {
    for pad in [0, 10_000] {
        let body = format!(r#"{{"model":"a","input":"{}"}}"#, "x".repeat(pad));
        let request = parse(&body).unwrap();
        for name in ["b", "a longer one", "b"] {
            assert_eq!(fill(&request, name), body.replace(r#""a""#, &format!("\"{name}\"")));
        }
    }
}

#[test]
fn the_order_of_models_is_the_callers() {
    for (body, expected) in [
        (r#"{"model":"a"}"#, &["a"][..]),
        (r#"{"model":"\u0061\u00e4"}"#, &["aä"]),
        (r#"{"model":"a","gateway":{"models":["b","a","c"]}}"#, &["a", "b", "c"]),
        (r#"{"gateway":{"models":["b","a"]}}"#, &["b", "a"]),
        (r#"{"fallbacks":["c"],"models":["b","b"],"model_id":"a"}"#, &["a", "b", "c"]),
        (r#"{"models":["b"],"fallbacks":["b"],"gateway":{"models":null}}"#, &["b"]),
    ] {
        assert_eq!(models(&parse(body).unwrap()), expected, "{body}");
    }
}

#[test]
fn wishes_are_read() {
    let request = parse(
        r#"{"model":"a","stream":true,"gateway":{"max_retries":0,"timeout_ms":1500,"first_token_timeout_ms":20,
            "tags":{"team":"x","\u0062":"\u00e4"},"models":null}}"#,
    )
    .unwrap();
    let tightening = Tightening {
        max_retries: Some(0),
        timeout: Some(Duration::from_millis(1500)),
        first_token_timeout: Some(Duration::from_millis(20)),
    };
    assert_eq!(request.call.tightening, tightening);
    assert_eq!(request.call.tags, [("team".to_owned(), "x".to_owned()), ("b".to_owned(), "ä".to_owned())]);
    assert!(request.call.stream);
}

#[test]
fn refusals_have_their_codes_and_say_what_to_do() {
    let many = format!(r#"{{"model":"a","models":[{}]}}"#, vec!["\"x\""; 17].join(","));
    let seventeen = |from: usize| (from..from + 9).map(|n| format!("\"m{n}\"")).collect::<Vec<_>>().join(",");
    let too_many = format!(r#"{{"models":[{}],"fallbacks":[{}]}}"#, seventeen(0), seventeen(9));
    let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(257));
    for (body, code, param, text) in [
        ("", Some("invalid_json"), None, "line 1 column 0"),
        ("{\"model\":\n \"a\",}", Some("invalid_json"), None, "key must be a string at line 2 column 6"),
        (r#"{"model":"a"} x"#, Some("invalid_json"), None, "trailing characters at line 1 column 15"),
        ("\u{feff}{}", Some("invalid_json"), None, "expected value at line 1 column 1"),
        ("[]", Some("invalid_json"), None, "is not a JSON object"),
        ("{}", Some("missing_model"), Some("model"), "/v1/models"),
        (r#"{"model":null}"#, Some("missing_model"), Some("model"), "names no model"),
        (r#"{"gateway":{"models":[]}}"#, Some("missing_model"), Some("model"), "names no model"),
        (r#"{"Model":"a"}"#, Some("duplicate_field"), Some("model"), "spelled exactly so"),
        (r#"{"model":"a","model_id":null}"#, Some("duplicate_field"), Some("model_id"), "the same field"),
        (r#"{"model":"a","gateway":{},"Gateway":1}"#, Some("duplicate_field"), Some("gateway"), "`gateway`"),
        (
            r#"{"model":"a","stream_options":{"include_usage":true,"include\u005fusage":false}}"#,
            Some("duplicate_field"),
            Some("stream_options.include_usage"),
            "more than once",
        ),
        (r#"{"model":7}"#, None, Some("model"), "non-empty string"),
        (r#"{"model":""}"#, None, Some("model"), "non-empty string"),
        (r#"{"model":"a\nb"}"#, None, Some("model"), "control characters"),
        (r#"{"model":"\ud800"}"#, None, Some("model"), "non-empty string"),
        (&long, None, Some("model"), "256 bytes"),
        (r#"{"model":"a","stream":1}"#, None, Some("stream"), "true or false"),
        (r#"{"model":"a","models":"b"}"#, None, Some("models"), "an array"),
        (r#"{"model":"a","fallbacks":[{"b":1}]}"#, None, Some("fallbacks"), "model names"),
        (&many, None, Some("models"), "at most 16"),
        (&too_many, None, Some("models"), "at most 16"),
        (r#"{"model":"a","gateway":[]}"#, Some("invalid_gateway_field"), Some("gateway"), "an object"),
        (r#"{"model":"a","gateway":{"x":1}}"#, Some("invalid_gateway_field"), Some("gateway.x"), "known are models"),
        (r#"{"model":"a","gateway":{"x":null}}"#, Some("invalid_gateway_field"), Some("gateway.x"), "unknown"),
        (
            r#"{"model":"a","gateway":{"timeout_ms":0}}"#,
            Some("invalid_gateway_field"),
            Some("gateway.timeout_ms"),
            "above 0",
        ),
        (
            r#"{"model":"a","gateway":{"timeout_ms":1.5}}"#,
            Some("invalid_gateway_field"),
            Some("gateway.timeout_ms"),
            "whole",
        ),
        (
            r#"{"model":"a","gateway":{"max_retries":-1}}"#,
            Some("invalid_gateway_field"),
            Some("gateway.max_retries"),
            "from 0",
        ),
        (
            r#"{"model":"a","gateway":{"models":["",1]}}"#,
            Some("invalid_gateway_field"),
            Some("gateway.models"),
            "names",
        ),
        (r#"{"model":"a","gateway":{"tags":{"a":1}}}"#, Some("invalid_gateway_field"), Some("gateway.tags"), "strings"),
        (r#"{"model":"a","gateway":{"tags":[]}}"#, Some("invalid_gateway_field"), Some("gateway.tags"), "strings"),
        (
            r#"{"model":"a","gateway":{"max_retries":1,"max_retries":1}}"#,
            Some("invalid_gateway_field"),
            Some("gateway.max_retries"),
            "more than once",
        ),
    ] {
        let refused = parse(body).unwrap_err();
        assert_eq!((refused.code(), refused.param()), (code, param), "{body}: {refused}");
        assert!(refused.to_string().contains(text), "{body}: {refused}");
    }
}

#[test]
fn broken_encoding_is_refused_with_its_place() {
    let body = Bytes::from_static(b"{\"model\":\"a\",\n\"x\":\"\xff\"}");
    let problem = "invalid UTF-8".to_owned();
    assert_eq!(parse_json(ENDPOINT, body).unwrap_err(), RequestError::InvalidJson { line: 2, column: 6, problem });
}

#[test]
fn a_million_levels_are_no_problem() {
    let body = format!(r#"{{"x":{}{},"model":"a"}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert_eq!(models(&parse(&body).unwrap()), ["a"]);
}
