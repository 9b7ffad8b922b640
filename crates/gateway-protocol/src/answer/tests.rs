#![allow(clippy::unwrap_used)]

use std::time::Duration;

use gateway_call::{AttemptRecord, Outcome, RequestId};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::json::tests::{MemberText, member, object, string, value, whitespace};

const MEMBER: &str = concat!(
    r#"{"model":"pub\"lic","provider":"one","upstream_model":"up","#,
    r#""attempts":[{"model":"pub\"lic","provider":"one","outcome":"success","status":200,"ms":12}],"#,
    r#""request_id":"req_00000000000000000000000000000007"}"#
);

/// Annotates `body` as served by "one".
pub(crate) fn annotated(body: &str) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let scan = scan_answer(&body).unwrap();
    with_served(|served| String::from_utf8(annotate(&body, &scan, served).into_bytes().to_vec()).unwrap())
}

/// Calls back with what the tests' answers were served by.
pub(crate) fn with_served<T>(then: impl FnOnce(&Served<'_>) -> T) -> T {
    let attempts = [AttemptRecord {
        model: "pub\"lic".into(),
        entry: None,
        span: None,
        began: Duration::ZERO,
        head: None,
        provider: "one".into(),
        provider_type: "openai".into(),
        upstream_model: "up".into(),
        outcome: Outcome::Success,
        status: Some(200),
        elapsed: Duration::from_micros(12_900),
    }];
    let request_id = RequestId::from_random(7);
    then(&Served {
        model: "pub\"lic",
        provider: "one",
        upstream_model: "up",
        attempts: &attempts,
        request_id: &request_id,
    })
}

/// An object with a `model` of any type and perhaps a `gateway`, as an upstream would send it; and how it is to look.
pub(crate) fn answers() -> impl Strategy<Value = (String, String)> {
    let plain = string().prop_filter("has a meaning", |name| {
        !matches!(&*serde_json::from_str::<String>(name).unwrap_or_default(), "model" | "gateway" | "error" | "type")
    });
    let members = prop::collection::vec(member(plain, value()), 0..4);
    let model = prop::option::of(member(Just("\"model\"".to_owned()), prop_oneof![3 => string(), 1 => value()]));
    let gateway = prop::option::of(member(
        prop_oneof![Just("\"gateway\"".to_owned()), Just(r#""\u0067ateway""#.to_owned())],
        value(),
    ));
    (members, model, gateway, any::<[Index; 2]>(), whitespace()).prop_map(
        |(mut members, model, gateway, places, empty)| {
            for (member, place) in model.into_iter().chain(gateway).zip(places) {
                members.insert(place.index(members.len() + 1), member);
            }
            let body = object(&members, &empty);
            (body, expected(&members))
        },
    )
}

/// The contract, said with members rather than bytes.
fn expected(members: &[MemberText]) -> String {
    let kept: Vec<_> = members.iter().filter(|member| !member.name.ends_with("ateway\"")).collect();
    let cores = kept.iter().map(|member| {
        let is_renamed = member.name == "\"model\"" && member.value.starts_with('"');
        let value = if is_renamed { r#""pub\"lic""# } else { &member.value };
        format!("{}{}{value}", member.name, member.colon)
    });
    let cores: Vec<_> = cores.chain([format!("\"gateway\":{MEMBER}")]).collect();
    format!("{{{}}}", cores.join(","))
}

/// The text without white space between its top-level members.
pub(crate) fn tight(text: &str) -> String {
    let mut scanner = crate::json::Scanner::new(text.as_bytes());
    let mut cores = Vec::new();
    scanner
        .object(|scanner, key| {
            let value = scanner.value()?;
            cores.push(&text[key.start - 1..value.end]);
            Ok(())
        })
        .unwrap();
    scanner.finish().unwrap();
    format!("{{{}}}", cores.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn annotating_changes_the_model_and_the_gateway_member_only((body, expected) in answers()) {
        prop_assert_eq!(tight(&annotated(&body)), expected);
    }

    #[test]
    fn without_a_gateway_member_of_its_own_the_answer_grows_at_its_end_only(
        members in prop::collection::vec(member("\"[a-c]{1,3}\"", value()), 1..4),
        around in (whitespace(), whitespace()),
    ) {
        let object = object(&members, "");
        let body = format!("{}{object}{}", around.0, around.1);
        let whole = object.strip_suffix('}').unwrap().trim_end_matches([' ', '\t', '\r', '\n']);
        let rest = &object[whole.len()..];
        prop_assert_eq!(annotated(&body), format!("{}{whole},\"gateway\":{MEMBER}{rest}{}", around.0, around.1));
    }

    #[test]
    fn anything_but_an_object_is_left_alone(text in value().prop_filter("is an object", |text| !text.starts_with('{'))) {
        prop_assert_eq!(annotated(&text), text);
    }
}

#[test]
fn answers_are_judged() {
    for (body, error) in [
        (r#"{"error":null,"model":"a"}"#, None),
        (r#"{"x":{"error":{"message":"m"}}}"#, None),
        (r#"{"error":{"message":"m","code":503}}"#, Some((Some(503), "m"))),
        (r#"{"\u0065rror":"m"}"#, Some((None, "m"))),
        (r#"{"error":false}"#, Some((None, "false"))),
        (r#"[{"error":1}]"#, None),
    ] {
        let scan = scan_answer(body.as_bytes()).unwrap();
        let found = scan.error.as_ref().map(|fault| (fault.status, &*fault.message));
        assert_eq!((found, scan.is_object), (error, body.starts_with('{')), "{body}");
    }
    for body in [&b""[..], b"<html>", b"{\"a\":1", b"{} {}", b"{\"a\":\"\xff\"}", b"{\"a\":01}"] {
        assert!(scan_answer(body).is_err(), "{body:?}");
    }
}

#[test]
fn large_answers_are_not_copied() {
    let body = Bytes::from(format!(r#"{{"model":"a","data":"{}"}}"#, "x".repeat(100_000)));
    let scan = scan_answer(&body).unwrap();
    let pieces: Vec<_> = with_served(|served| annotate(&body, &scan, served)).into_iter().collect();
    assert_eq!(pieces[2].as_ptr(), body[12..].as_ptr());
    assert_eq!(pieces.iter().map(Bytes::len).max(), Some(100_010));
}

#[test]
fn an_answer_of_nothing_but_models_leaves_in_one_piece() {
    let body = Bytes::from(format!("{{{}}}", vec![r#""model":"a""#; 20_000].join(",")));
    let scan = scan_answer(&body).unwrap();
    let annotated = with_served(|served| annotate(&body, &scan, served));
    assert_eq!(annotated.into_iter().count(), 1);
}

#[test]
fn the_usage_of_a_plain_answer_is_read() {
    let usage = (Some(3), Some(2));
    for (body, expected) in [
        (r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#, usage),
        (r#"{"output":[],"usage":{"input_tokens":3,"output_tokens":2}}"#, usage),
        (r#"{"usage":{"prompt_tokens":3,"completion_tokens":2},"usage":null}"#, usage),
        (r#"{"response":{"usage":{"prompt_tokens":3,"completion_tokens":2}}}"#, (None, None)),
        (r#"[{"usage":{"prompt_tokens":3,"completion_tokens":2}}]"#, (None, None)),
        (r#"{"usage":null}"#, (None, None)),
        ("7", (None, None)),
    ] {
        let usage = scan_answer(body.as_bytes()).unwrap().usage;
        assert_eq!((usage.prompt(), usage.completion()), expected, "{body}");
        assert_eq!(annotated(body).contains("usage"), body.contains("usage"), "a caller keeps it: {body}");
    }
}
