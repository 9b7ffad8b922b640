//! What a receiver is told of a call.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use gateway_call::{Event, Observer};
use gateway_testing::FakeUpstream;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::calls::{decode, place, run, settle, spans_of, taken};

const MINUTE: Duration = Duration::from_mins(1);

/// Attributes by name, as a person would write them.
fn shown(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let show = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(amount)) => amount.to_string(),
        other => panic!("{} is {other:?}", attribute.key),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), show(attribute))).collect()
}

fn table(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

fn millis(from: u64, to: u64) -> u64 {
    (to - from) / 1_000_000
}

fn code(span: &Span) -> StatusCode {
    span.status.as_ref().map_or(StatusCode::Unset, |status| StatusCode::try_from(status.code).unwrap())
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the spans are placed by the same clock")]
async fn a_call_with_a_fallback_is_a_tree() {
    let receiver = FakeUpstream::start([taken()]).await.unwrap();
    let running = run(&receiver, &[("OTEL_SERVICE_NAME", "edge")], MINUTE);
    let before = nanos(SystemTime::now());
    settle(&running.traces, Some(place(0xfeed_0000_0000_0000_0000_0000_0000_0001, 0xc0, Some(0xca11))));
    let after = nanos(SystemTime::now());
    let request = receiver.request(0).await;
    assert_eq!(request.request_line(), "POST /v1/traces HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    let resource = decode(&request).resource_spans[0].resource.clone().unwrap();
    let expected = [("service.name", "edge"), ("service.version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(shown(&resource.attributes), table(&expected));

    let spans = spans_of(&request);
    let [call, first, second] = &spans[..] else { panic!("{} spans", spans.len()) };
    for span in &spans {
        assert_eq!(span.trace_id, 0xfeed_0000_0000_0000_0000_0000_0000_0001_u128.to_be_bytes());
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    let id = |id: u64| id.to_be_bytes().to_vec();
    assert_eq!((&call.span_id, &call.parent_span_id), (&id(0xc0), &id(0xca11)));
    assert_eq!((&first.span_id, &first.parent_span_id), (&id(0xa1), &id(0xc0)));
    assert_eq!((&second.span_id, &second.parent_span_id), (&id(0xa2), &id(0xc0)));
    assert_eq!([call, first, second].map(Span::kind), [SpanKind::Server, SpanKind::Client, SpanKind::Client]);
    assert_eq!([call, first, second].map(code), [StatusCode::Unset, StatusCode::Error, StatusCode::Unset]);
    assert_eq!([call.flags, first.flags], [0x301, 0x101], "the call's parent is elsewhere, the attempt's is here");

    assert!((before..=after).contains(&call.end_time_unix_nano));
    assert_eq!(millis(call.start_time_unix_nano, call.end_time_unix_nano), 100);
    for (attempt, began, ended) in [(first, 1, 16), (second, 20, 90)] {
        assert_eq!(millis(call.start_time_unix_nano, attempt.start_time_unix_nano), began);
        assert_eq!(millis(call.start_time_unix_nano, attempt.end_time_unix_nano), ended);
    }
    assert!(!String::from_utf8_lossy(&request.body).contains("canary"), "what a caller wrote stays here");
}

#[tokio::test]
async fn spans_say_what_the_conventions_ask_for() {
    let receiver = FakeUpstream::start([taken()]).await.unwrap();
    let running = run(&receiver, &[], MINUTE);
    settle(&running.traces, Some(place(1, 2, None)));
    let spans = spans_of(&receiver.request(0).await);
    assert_eq!(spans[0].parent_span_id, [0_u8; 0]);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST /v1/chat/completions", "chat gpt-4o-mini", "chat gpt-4o-mini"]);
    let call = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/chat/completions"),
        ("llm_proxy.api_key_name", "team a"),
        ("llm_proxy.attempts", "2"),
        ("llm_proxy.cost_usd", "0.0000125"),
        ("llm_proxy.model", "fast"),
        ("llm_proxy.overhead_us", "42"),
        ("llm_proxy.request_id", "req_00000000000000000000000000000001"),
        ("llm_proxy.stream", "true"),
        ("llm_proxy.ttft_ms", "40"),
    ];
    assert_eq!(shown(&spans[0].attributes), table(&call));
    let failed = [
        ("error.type", "overloaded"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o-mini"),
        ("gen_ai.request.stream", "true"),
        ("http.response.status_code", "503"),
        ("llm_proxy.outcome", "overloaded"),
        ("llm_proxy.provider", "main"),
    ];
    assert_eq!(shown(&spans[1].attributes), table(&failed));
    let answered = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o-mini"),
        ("gen_ai.request.stream", "true"),
        // The attempt began 20 ms after the call, whose caller got the first byte after 40 ms.
        ("gen_ai.response.time_to_first_chunk", "0.02"),
        ("gen_ai.usage.input_tokens", "9"),
        ("gen_ai.usage.output_tokens", "3"),
        ("http.response.status_code", "200"),
        ("llm_proxy.outcome", "success"),
        ("llm_proxy.provider", "spare"),
    ];
    assert_eq!(shown(&spans[2].attributes), table(&answered));
}

#[tokio::test]
async fn only_what_is_recorded_is_sent() {
    let receiver = FakeUpstream::start([taken()]).await.unwrap();
    let running = run(&receiver, &[], MINUTE);
    let mut unrecorded = place(7, 8, Some(9));
    unrecorded.own.flags = 0;
    running.traces.on_event(&Event::Arrived { path: "/v1/chat/completions" });
    settle(&running.traces, None);
    settle(&running.traces, Some(unrecorded));
    settle(&running.traces, Some(place(5, 6, Some(7))));
    running.stop.cancel();
    running.ended.await.unwrap();
    assert_eq!(spans_of(&receiver.request(0).await)[0].span_id, 6_u64.to_be_bytes());
    assert_eq!((receiver.requests().len(), running.traces.exported(), running.traces.dropped()), (1, 1, 0));
}

#[tokio::test]
async fn whoever_begins_traces_is_told_which_are_recorded() {
    let receiver = FakeUpstream::start([]).await.unwrap();
    for (name, expected) in [("always_off", false), ("always_on", true)] {
        let running = run(&receiver, &[("OTEL_TRACES_SAMPLER", name)], MINUTE);
        let own = place(5, 6, None).own;
        assert_eq!(running.traces.sampler().samples(own.trace, Some(!expected)), expected, "{name}");
    }
}
