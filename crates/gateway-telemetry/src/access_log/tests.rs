use gateway_call::{Endpoint, Outcome, RequestId, Tokens, Usage};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use tracing_subscriber::filter::EnvFilter;

use super::*;
use crate::captured::Lines;
use crate::logging;

/// What is written about calls, one JSON object a line.
fn written(log: AccessLog, records: &[CallRecord<'_>]) -> String {
    let lines = Lines::default();
    tracing::subscriber::with_default(logging::json(EnvFilter::new("info"), lines.clone()), || {
        for record in records {
            log.on_event(&Event::Settled(record));
        }
    });
    lines.text()
}

/// The same for people.
fn written_as_text(record: &CallRecord<'_>) -> String {
    let lines = Lines::default();
    tracing::subscriber::with_default(logging::text(EnvFilter::new("info"), lines.clone(), false), || {
        AccessLog::default().on_event(&Event::Settled(record));
    });
    lines.text()
}

/// A call that went well, with nothing that matters here.
fn plain(request_id: &RequestId) -> CallRecord<'_> {
    CallRecord {
        request_id,
        trace: None,
        method: "POST",
        path: "/v1/chat/completions",
        endpoint: Some(Endpoint::ChatCompletions),
        key: None,
        model: None,
        entry: None,
        status: 200,
        error: None,
        refused_by: None,
        tokens: None,
        cost_nano_usd: 0,
        stream: false,
        attempts: &[],
        answering: None,
        tags: &[],
        duration: Duration::ZERO,
        first_byte: None,
        overhead: Duration::ZERO,
        bytes_out: 0,
    }
}

#[test]
fn errors_are_always_written_and_successes_as_they_are_sampled() {
    let id = RequestId::from_random(1);
    let lines = |log, record: CallRecord<'_>| written(log, &[record]).lines().count();
    let (none, all) = (AccessLog::sampled(0.0), AccessLog::sampled(1.0));
    for (status, error, expected) in [
        (200, None, 0),
        (302, None, 0),
        (399, None, 0),
        (400, None, 1),
        (404, Some("model_not_found"), 1),
        (499, None, 1),
        (502, Some("upstream_error"), 1),
        // A stream that broke off after its head.
        (200, Some("upstream_truncated"), 1),
    ] {
        assert_eq!(lines(none, CallRecord { status, error, ..plain(&id) }), expected, "{status} {error:?}");
        assert_eq!(lines(all, CallRecord { status, error, ..plain(&id) }), 1, "{status} {error:?}");
    }
}

#[test]
fn a_share_beyond_the_range_is_the_nearest_within() {
    let below = |share| AccessLog::sampled(share).below;
    assert_eq!([below(1.0), below(1.5), below(f64::INFINITY)], [u64::MAX; 3]);
    assert_eq!([below(0.0), below(-1.0), below(f64::NAN)], [0; 3]);
    assert_eq!((below(0.5), AccessLog::default().below), (1 << 63, u64::MAX));
}

#[test]
fn the_share_of_identifiers_is_the_share_that_was_asked_for() {
    type Make = fn(u32) -> RequestId;
    let own: Make = |number| RequestId::from_random(u128::from(number));
    let callers: Make = |number| RequestId::from_header(&number.to_string().parse().unwrap()).unwrap();
    for (kind, make) in [("made", own), ("counted up by a caller", callers)] {
        let ids: Vec<_> = (0..20_000).map(make).collect();
        for share in [0.01, 0.1, 0.5, 0.9] {
            let log = AccessLog::sampled(share);
            let count = ids.iter().filter(|id| log.writes(&plain(id))).count();
            let expected = 20_000.0 * share;
            // Five standard deviations of a binomial distribution.
            let bound = 5.0 * (expected * (1.0 - share)).sqrt();
            assert!((f64::from(u32::try_from(count).unwrap()) - expected).abs() < bound, "{kind}, {share}: {count}");
        }
    }
}

#[test]
fn a_larger_share_holds_the_smaller_one_and_the_choice_never_changes() {
    let chosen = |share: f64| {
        let log = AccessLog::sampled(share);
        (0..64).filter(|number| log.writes(&plain(&RequestId::from_random(*number)))).collect::<Vec<_>>()
    };
    let (few, more) = (chosen(0.1), chosen(0.3));
    assert!(few.iter().all(|number| more.contains(number)), "{few:?} {more:?}");
    // Of another version, which is to choose the same.
    assert_eq!(hash("req_00000000000000000000000000000001"), 0x583f_7352_981b_c36d);
}

/// An attempt that went well.
fn attempt(provider: &str, upstream_model: &str) -> AttemptRecord {
    AttemptRecord {
        model: "gpt-4o".into(),
        entry: Some("gpt-4o".into()),
        provider: provider.into(),
        provider_type: "openai".into(),
        upstream_model: upstream_model.into(),
        outcome: Outcome::Success,
        status: Some(200),
        span: None,
        began: Duration::ZERO,
        head: Some(Duration::from_millis(9)),
        elapsed: Duration::from_millis(12),
    }
}

#[test]
fn what_a_caller_chose_adds_neither_attempts_nor_tags_nor_fields() {
    let id = RequestId::from_random(1);
    for (model, expected) in [
        ("meta-llama/Llama-3.1_8B@x", "meta-llama/Llama-3.1_8B@x"),
        ("通义千问-ä", "通义千问-ä"),
        ("llama3:8b", "llama3%3A8b"),
        ("100%", "100%25"),
        ("a:success:200,p9/z:success:200", "a%3Asuccess%3A200%2Cp9/z%3Asuccess%3A200"),
        ("sp ace\" status=500 x=\"", "sp%20ace%22%20status%3D500%20x%3D%22"),
        ("a\u{2028}b\u{202e}c\u{a0}d\u{3000}e\r\n\0", "a%E2%80%A8b%E2%80%AEc%C2%A0d%E3%80%80e%0D%0A%00"),
    ] {
        let attempts = [attempt("p 1", model), attempt("p2", "m")];
        let tags = [("job".to_owned(), model.to_owned()), (model.to_owned(), String::new())];
        let record = CallRecord { model: Some(model), attempts: &attempts, tags: &tags, ..plain(&id) };
        let shown_attempts = format!("p%201/{expected}:success:200,p2/m:success:200");
        let shown_tags = format!("job={expected},{expected}=");

        let text = written(AccessLog::default(), &[CallRecord { ..record }]);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["attempts"], &line["tags"]), (&shown_attempts.clone().into(), &shown_tags.clone().into()));
        assert_eq!(line["model"], model);

        let line = written_as_text(&record);
        assert!(line.contains(&format!(" attempts={shown_attempts} tags={shown_tags} ")), "{line}");
        assert!(line.contains(&format!(" model={model:?} ")), "{line}");
        assert_eq!(line.matches(" status=").count() - model.matches(" status=").count(), 1, "{line}");
        assert_eq!(line.find(|character: char| character.is_control()), Some(line.len() - 1), "{line:?}");
    }
}

proptest! {
    #[test]
    fn a_token_has_one_part_and_is_read_back(text in any::<String>()) {
        let token = Token(&text).to_string();
        prop_assert!(!token.contains([' ', '"', ',', ':', '=', '\n', '\u{2028}', '\u{202e}']), "{}", token);
        prop_assert_eq!(percent_decode_str(&token).decode_utf8().unwrap(), text);
    }
}

#[test]
fn a_settled_call_is_one_json_line() {
    let attempts = [attempt("main", "gpt-4o-2024")];
    let record = CallRecord {
        request_id: &RequestId::from_random(1),
        trace: None,
        method: "POST",
        path: "/v1/chat/completions",
        endpoint: Some(Endpoint::ChatCompletions),
        key: Some(&"team a".into()),
        model: Some("gpt-4o"),
        entry: Some(&"gpt-4o".into()),
        status: 200,
        error: None,
        refused_by: None,
        tokens: Some(Tokens { usage: Usage { prompt: 9, completion: 3, cached: 0 }, is_estimated: false }),
        cost_nano_usd: 12_500,
        stream: true,
        attempts: &attempts,
        answering: Some(0),
        tags: &[("job".to_owned(), "nightly\nrun".to_owned())],
        duration: Duration::from_micros(12_345),
        first_byte: Some(Duration::from_millis(10)),
        overhead: Duration::from_micros(42),
        bytes_out: 99,
    };
    let text = written(AccessLog::default(), &[record]);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text.lines().count(), 1);
    for (field, expected) in [
        ("target", serde_json::json!("access")),
        ("key", serde_json::json!("team a")),
        ("provider", serde_json::json!("main")),
        ("status", serde_json::json!(200)),
        ("endpoint", serde_json::json!("/v1/chat/completions")),
        ("prompt_tokens", serde_json::json!(9)),
        ("cost_usd", serde_json::json!(12.5e-6)),
        ("attempts", serde_json::json!("main/gpt-4o-2024:success:200")),
        ("tags", serde_json::json!("job=nightly%0Arun")),
        ("duration_ms", serde_json::json!(12.345)),
        ("overhead_us", serde_json::json!(42)),
    ] {
        assert_eq!(line[field], expected, "{field} in {text}");
    }
    assert!(line.get("error").is_none());
}
