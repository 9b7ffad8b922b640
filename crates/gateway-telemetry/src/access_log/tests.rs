use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use gateway_call::{AttemptRecord, CallTrace, Endpoint, Label, Outcome, RequestId, Tokens, TraceParent, Usage};
use proptest::prelude::*;
use tracing_subscriber::filter::EnvFilter;

use super::*;
use crate::captured::Lines;
use crate::logging::{self, Queue};

const JSON: Form = Form::Json;
const TEXT: Form = Form::Text { has_colours: false };
const COLOURED: Form = Form::Text { has_colours: true };

/// An access log of that form, and where it goes.
fn log(form: Form) -> (AccessLog, Arc<Queue>) {
    let queue = Arc::new(Queue::new(Arc::default()));
    (AccessLog { to: Some(CallLines { form, queue: Arc::clone(&queue) }), below: u64::MAX }, queue)
}

/// What is written about calls, a share of them, one JSON object a line.
fn sampled(share: f64, records: &[CallRecord<'_>]) -> String {
    let (log, queue) = log(JSON);
    let log = log.sampled(share);
    for record in records {
        log.on_event(&Event::Settled(record));
    }
    all_of(&queue)
}

/// The line about a call.
fn line(form: Form, record: &CallRecord<'_>) -> String {
    let (log, queue) = log(form);
    log.on_event(&Event::Settled(record));
    all_of(&queue)
}

fn all_of(queue: &Queue) -> String {
    // Or else it would be waited for more.
    queue.close();
    String::from_utf8(queue.take(Vec::new()).unwrap_or_default()).unwrap()
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

/// One that has everything that a line can say.
fn full<'a>(
    request_id: &'a RequestId,
    key: &'a Label,
    attempts: &'a [AttemptRecord],
    tags: &'a [(String, String)],
) -> CallRecord<'a> {
    let own = TraceParent::parse("00-0bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    CallRecord {
        request_id,
        trace: Some(CallTrace { own, parent: None }),
        key: Some(key),
        model: Some("gpt-4o"),
        entry: Some(key),
        error: Some("upstream_truncated"),
        tokens: Some(Tokens { usage: Usage { prompt: 9, completion: 3, cached: 2 }, is_estimated: true }),
        cost_nano_usd: 12_500,
        stream: true,
        attempts,
        answering: Some(0),
        tags,
        duration: Duration::from_micros(12_345),
        first_byte: Some(Duration::from_millis(10)),
        overhead: Duration::from_micros(42),
        bytes_out: 99,
        ..plain(request_id)
    }
}

#[test]
fn errors_are_always_written_and_successes_as_they_are_sampled() {
    let id = RequestId::from_random(1);
    let lines = |share, record: CallRecord<'_>| sampled(share, &[record]).lines().count();
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
        assert_eq!(lines(0.0, CallRecord { status, error, ..plain(&id) }), expected, "{status} {error:?}");
        assert_eq!(lines(1.0, CallRecord { status, error, ..plain(&id) }), 1, "{status} {error:?}");
    }
}

#[test]
fn nothing_is_written_if_nothing_is_asked_for() {
    let nowhere = AccessLog { to: None, below: u64::MAX };
    nowhere.on_event(&Event::Settled(&plain(&RequestId::from_random(1))));
    assert!(nowhere.sampled(0.5).to.is_none());
}

#[test]
fn a_share_beyond_the_range_is_the_nearest_within() {
    let below = |share| log(JSON).0.sampled(share).below;
    assert_eq!([below(1.0), below(1.5), below(f64::INFINITY)], [u64::MAX; 3]);
    assert_eq!([below(0.0), below(-1.0), below(f64::NAN)], [0; 3]);
    assert_eq!((below(0.5), log(JSON).0.below), (1 << 63, u64::MAX));
}

#[test]
fn the_share_of_identifiers_is_the_share_that_was_asked_for() {
    type Make = fn(u32) -> RequestId;
    let own: Make = |number| RequestId::from_random(u128::from(number));
    let callers: Make = |number| RequestId::from_header(&number.to_string().parse().unwrap()).unwrap();
    for (kind, make) in [("made", own), ("counted up by a caller", callers)] {
        let ids: Vec<_> = (0..20_000).map(make).collect();
        for share in [0.01, 0.1, 0.5, 0.9] {
            let log = log(JSON).0.sampled(share);
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
        let log = log(JSON).0.sampled(share);
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

        let json: serde_json::Value = serde_json::from_str(&line(JSON, &record)).unwrap();
        assert_eq!((&json["attempts"], &json["tags"]), (&shown_attempts.clone().into(), &shown_tags.clone().into()));
        assert_eq!(json["model"], model);

        let line = line(TEXT, &record);
        assert!(line.contains(&format!(" attempts={shown_attempts} tags={shown_tags} ")), "{line}");
        assert!(line.contains(&format!(" model={model:?} ")), "{line}");
        assert_eq!(line.matches(" status=").count() - model.matches(" status=").count(), 1, "{line}");
        assert_eq!(line.find(|character: char| character.is_control()), Some(line.len() - 1), "{line:?}");
    }
}

/// The event that a line is written as: its members once more, so that none changes by mistake.
fn tell_tracing(record: &CallRecord<'_>) {
    let served = record.served_by();
    let usage = record.tokens.map(|tokens| tokens.usage);
    let milliseconds = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
    let text = |put: &dyn Fn(&mut String)| {
        let mut text = String::new();
        put(&mut text);
        tracing::field::display(text)
    };
    tracing::info!(
        target: "access",
        request_id = record.request_id.as_str(),
        trace_id = record.trace.map(|trace| tracing::field::display(format!("{:032x}", trace.own.trace))),
        key = record.key.map(|key| &**key),
        method = record.method,
        endpoint = record.path,
        model = record.model,
        provider = served.map(|attempt| &*attempt.provider),
        upstream_model = served.map(|attempt| attempt.upstream_model.as_str()),
        status = record.status,
        error = record.error,
        stream = record.stream,
        attempts = text(&|text| token::put_attempts(text, record.attempts)),
        tags = (!record.tags.is_empty()).then(|| text(&|text| token::put_tags(text, record.tags))),
        prompt_tokens = usage.map(|usage| usage.prompt),
        completion_tokens = usage.map(|usage| usage.completion),
        cached_tokens = usage.map(|usage| usage.cached),
        tokens_estimated = record.tokens.is_some_and(|tokens| tokens.is_estimated).then_some(true),
        cost_usd = record.cost_usd(),
        ttft_ms = record.first_byte.map(milliseconds),
        duration_ms = milliseconds(record.duration),
        overhead_us = u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX),
        bytes = record.bytes_out,
        "call"
    );
}

/// The line that `tracing` would write.
fn line_of_tracing(form: Form, record: &CallRecord<'_>) -> String {
    let lines = Lines::default();
    let (filter, writer) = (EnvFilter::new("info"), lines.clone());
    match form {
        Form::Json => tracing::subscriber::with_default(logging::json(filter, writer), || tell_tracing(record)),
        Form::Text { has_colours } => {
            tracing::subscriber::with_default(logging::text(filter, writer, has_colours), || tell_tracing(record));
        }
    }
    lines.text()
}

/// A line with zeros for the digits of its timestamp, which comes first and begins with 20 until 2100.
fn undated(line: &str) -> String {
    let (begin, end) = line.find("20").and_then(|begin| Some((begin, begin + line[begin..].find('Z')?))).unwrap();
    let zeros = line[begin..end].replace(|character: char| character.is_ascii_digit(), "0");
    assert_eq!(zeros, "0000-00-00T00:00:00.000000", "{line:?}");
    format!("{}{zeros}{}", &line[..begin], &line[end..])
}

fn assert_as_tracing_writes(record: &CallRecord<'_>) {
    for form in [JSON, TEXT, COLOURED] {
        assert_eq!(undated(&line(form, record)), undated(&line_of_tracing(form, record)), "{form:?}");
    }
}

#[test]
fn a_line_is_that_of_an_event_in_every_form() {
    let (id, key) = (RequestId::from_random(1), "team a".into());
    let attempts = [attempt("main", "gpt-4o-2024"), attempt("p 2", "ä\u{202e}")];
    let tags = [("job".to_owned(), "nightly\nrun".to_owned())];
    assert_as_tracing_writes(&plain(&id));
    assert_as_tracing_writes(&full(&id, &key, &attempts, &tags));
    for cost_nano_usd in [1, 999, 9_999, 10_000, 1_234_567, 1_000_000_000, u64::MAX] {
        assert_as_tracing_writes(&CallRecord { cost_nano_usd, ..plain(&id) });
    }
}

proptest! {
    #[test]
    fn a_line_is_that_of_an_event_whatever_the_call(
        (model, upstream_model, key, tag) in any::<(String, String, String, String)>(),
        (status, is_stream, bytes_out, cost_nano_usd) in any::<(u16, bool, u64, u64)>(),
        (duration, overhead, first_byte) in any::<(Duration, Duration, Option<Duration>)>(),
    ) {
        let (id, key) = (RequestId::from_random(1), Label::of(&key));
        let (attempts, tags) = ([attempt("main", &upstream_model)], [(tag.clone(), tag)]);
        assert_as_tracing_writes(&CallRecord {
            model: Some(&model),
            status,
            stream: is_stream,
            bytes_out,
            cost_nano_usd,
            duration,
            overhead,
            first_byte,
            ..full(&id, &key, &attempts, &tags)
        });
    }
}

#[test]
fn a_line_allocates_nothing() {
    let (id, key) = (RequestId::from_random(1), "team".into());
    let attempts = [attempt("main", "gpt-4o-2024"), attempt("other", "gpt-4o")];
    let record = full(&id, &key, &attempts, &[]);
    let (log, queue) = log(JSON);
    let ten_lines = || (0..10).for_each(|_| log.on_event(&Event::Settled(&record)));
    // Memory for lines, of the thread and of the queue, is there from then on.
    (0..10).for_each(|_| ten_lines());
    let mut lines = queue.take(Vec::new()).unwrap();
    lines.clear();
    ten_lines();
    queue.take(lines).unwrap();
    // Not counting a second that begins, whose date has to be worked out.
    assert_eq!((0..5).map(|_| measure(ten_lines).count_total).min(), Some(0));
}

#[test]
fn a_settled_call_is_one_json_line() {
    let (id, key) = (RequestId::from_random(1), "team a".into());
    let (attempts, tags) = ([attempt("main", "gpt-4o-2024")], [("job".to_owned(), "nightly\nrun".to_owned())]);
    let text = sampled(1.0, &[CallRecord { error: None, ..full(&id, &key, &attempts, &tags) }]);
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
