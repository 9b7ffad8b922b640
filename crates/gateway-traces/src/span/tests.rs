use proptest::prelude::*;

use super::*;
use crate::settled::samples::{attempt, call};

fn value(span: &Span, name: &str) -> Option<Value> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    attribute.value.as_ref()?.value.clone()
}

fn is_error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == i32::from(StatusCode::Error))
}

#[test]
fn what_counts_as_an_error_of_the_call() {
    for (status, expected) in [(200, false), (400, false), (429, false), (499, false), (500, true), (503, true)] {
        let span = spans(&call(status, Vec::new())).next().unwrap();
        assert_eq!(is_error(&span), expected, "{status}");
        assert_eq!(value(&span, ERROR_TYPE), expected.then(|| status.to_string().as_str().into()), "{status}");
        assert_eq!(value(&span, HTTP_RESPONSE_STATUS_CODE), Some(status.into()));
    }
}

#[test]
fn what_counts_as_an_error_of_an_attempt() {
    for (outcome, expected) in [
        (Outcome::Success, false),
        (Outcome::Cancelled, false),
        (Outcome::ClientFault, true),
        (Outcome::RateLimited { retry_after: None }, true),
        (Outcome::Truncated, true),
    ] {
        let span = spans(&call(200, vec![attempt(outcome, None)])).nth(1).unwrap();
        assert_eq!(is_error(&span), expected, "{outcome:?}");
        assert_eq!(value(&span, ERROR_TYPE), expected.then(|| outcome.name().into()), "{outcome:?}");
        assert_eq!(value(&span, OUTCOME), Some(outcome.name().into()));
    }
}

#[test]
fn tokens_belong_to_the_attempt_that_answered() {
    let (won, lost) = (attempt(Outcome::Success, Some(200)), attempt(Outcome::Cancelled, None));
    for answering in [Some(0), Some(1), None] {
        let hedged = SettledCall { answering, ..call(200, vec![won.clone(), lost.clone()]) };
        let told: Vec<_> = spans(&hedged).collect();
        let with_tokens: Vec<_> =
            (0..told.len()).filter(|n| value(&told[*n], GEN_AI_USAGE_INPUT_TOKENS).is_some()).collect();
        assert_eq!(with_tokens, answering.map(|number: usize| number + 1).into_iter().collect::<Vec<_>>());
        for number in with_tokens {
            assert_eq!(value(&told[number], GEN_AI_USAGE_OUTPUT_TOKENS), Some(Value::Int(4)));
            assert_eq!(value(&told[number], GEN_AI_USAGE_CACHE_READ), Some(Value::Int(2)));
            assert_eq!(value(&told[number], USAGE_ESTIMATED), Some(Value::Bool(true)));
        }
    }
}

#[test]
fn a_model_that_a_caller_made_up_is_not_shown() {
    for (model, entry, name) in
        [("fast", Some("fast"), "chat gpt-4o"), ("gpt-made-up", Some("gpt-*"), "chat gpt-*"), ("made-up", None, "chat")]
    {
        let made = AttemptRecord {
            model: model.into(),
            entry: entry.map(Into::into),
            upstream_model: if model == "fast" { "gpt-4o".into() } else { model.into() },
            ..attempt(Outcome::Success, Some(200))
        };
        let span = spans(&call(200, vec![made])).nth(1).unwrap();
        assert_eq!(span.name, name);
        assert!(!format!("{span:?}").contains("made-up"), "{span:?}");
    }
}

#[test]
fn a_method_and_a_path_without_names_of_their_own() {
    let other = SettledCall { method: "other", endpoint: None, ..call(405, vec![attempt(Outcome::Transport, None)]) };
    let told: Vec<_> = spans(&other).collect();
    assert_eq!(
        (told[0].name.as_str(), told[1].name.as_str()),
        ("HTTP /v1/chat/completions", "/v1/chat/completions gpt-4o")
    );
    assert_eq!(value(&told[0], HTTP_REQUEST_METHOD), Some("_OTHER".into()));
}

#[test]
fn a_request_that_nothing_is_served_for_has_no_route() {
    let lost = SettledCall { path: "unknown", endpoint: None, entry: None, ..call(404, Vec::new()) };
    let span = spans(&lost).next().unwrap();
    assert_eq!((span.name.as_str(), value(&span, HTTP_ROUTE)), ("POST", None));
    let other = spans(&SettledCall { method: "other", ..lost }).next().unwrap();
    assert_eq!(other.name, "HTTP");
}

#[test]
fn the_conventions_of_generative_ai_are_for_attempts() {
    let told: Vec<_> = spans(&call(200, vec![attempt(Outcome::Success, Some(200))])).collect();
    let is_of_ai = |attribute: &KeyValue| attribute.key.starts_with("gen_ai.");
    assert!(!told[0].attributes.iter().any(is_of_ai), "who counts operations counts each once");
    assert!(told[1].attributes.iter().any(is_of_ai));
    assert_eq!(value(&told[0], MODEL), Some("fast".into()));
}

#[test]
fn a_provider_is_known_by_its_type_and_by_its_name() {
    for (provider_type, expected) in [
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("azure", "azure.ai.openai"),
        ("bedrock", "aws.bedrock"),
        ("gemini", "gcp.gemini"),
        ("of-our-own", "of-our-own"),
    ] {
        let made = AttemptRecord { provider_type: provider_type.into(), ..attempt(Outcome::Success, Some(200)) };
        let span = spans(&call(200, vec![made])).nth(1).unwrap();
        assert_eq!(value(&span, GEN_AI_PROVIDER_NAME), Some(expected.into()));
        assert_eq!(value(&span, PROVIDER), Some("main".into()));
    }
}

#[test]
fn the_first_part_of_a_stream_is_timed_from_its_attempt() {
    let seconds = Duration::from_secs;
    let made = AttemptRecord { began: seconds(2), ..attempt(Outcome::Success, Some(200)) };
    for (stream, first_byte, expected) in [
        (true, Some(seconds(5)), Some(Value::Double(3.0))),
        (true, None, None),
        // There is nothing to say of an answer that came whole.
        (false, Some(seconds(5)), None),
    ] {
        let settled = SettledCall { stream, first_byte, answering: Some(0), ..call(200, vec![made.clone()]) };
        let span = spans(&settled).nth(1).unwrap();
        assert_eq!(value(&span, GEN_AI_TIME_TO_FIRST_CHUNK), expected);
        assert_eq!(value(&span, GEN_AI_REQUEST_STREAM), stream.then_some(Value::Bool(true)));
    }
    let lost = SettledCall { stream: true, first_byte: Some(seconds(5)), ..call(200, vec![made]) };
    assert_eq!(value(&spans(&lost).nth(1).unwrap(), GEN_AI_TIME_TO_FIRST_CHUNK), None, "another answered");
}

#[test]
fn an_attempt_that_was_not_traced_has_no_span() {
    let untraced = AttemptRecord { span: None, ..attempt(Outcome::Success, Some(200)) };
    assert_eq!(spans(&call(200, vec![untraced])).count(), 1);
}

proptest! {
    #[test]
    fn attempts_lie_within_their_call_and_time_does_not_run_back(
        ended in 0_u64..4_000_000_000_000_000_000,
        duration in 0_u64..1_000_000_000_000,
        began in 0_u64..1_000_000_000_000,
        elapsed in 0_u64..1_000_000_000_000,
    ) {
        let nanos = Duration::from_nanos;
        let made = AttemptRecord { began: nanos(began), elapsed: nanos(elapsed), ..attempt(Outcome::Success, None) };
        let settled = SettledCall {
            ended: SystemTime::UNIX_EPOCH + nanos(ended),
            duration: nanos(duration),
            ..call(200, vec![made])
        };
        let told: Vec<_> = spans(&settled).collect();
        prop_assert_eq!(told[0].end_time_unix_nano, ended);
        prop_assert_eq!(told[0].start_time_unix_nano, ended.saturating_sub(duration));
        prop_assert!(told[0].start_time_unix_nano <= told[1].start_time_unix_nano);
        prop_assert!(told[1].start_time_unix_nano <= told[1].end_time_unix_nano);
        prop_assert!(told[1].end_time_unix_nano <= told[0].end_time_unix_nano);
    }
}
