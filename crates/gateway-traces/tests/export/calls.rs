//! Calls to trace, and an exporter on its way to a receiver.

use std::num::{NonZeroU64, NonZeroU128};
use std::sync::LazyLock;
use std::time::Duration;

use gateway_call::{
    AttemptRecord, CallRecord, CallTrace, Endpoint, Event, Observer, Outcome, RequestId, Tokens, TraceParent, Usage,
};
use gateway_testing::{FakeUpstream, ReceivedRequest, Script};
use gateway_traces::{Settings, Traces};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An exporter that runs, and what feeds it.
pub(crate) struct Running {
    pub(crate) traces: Traces,
    pub(crate) stop: CancellationToken,
    pub(crate) ended: JoinHandle<()>,
}

/// The settings for a receiver, with further variables.
pub(crate) fn settings(receiver: &FakeUpstream, variables: &[(&str, &str)]) -> Settings {
    let endpoint = format!("http://{}", receiver.address());
    let read = |name: &str| {
        let own = (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| endpoint.clone());
        own.or_else(|| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    };
    Settings::from_env(&read).unwrap().unwrap()
}

/// Runs an exporter that sends each batch as soon as it can; at its end it has so long to send the rest.
pub(crate) fn run(receiver: &FakeUpstream, variables: &[(&str, &str)], grace: Duration) -> Running {
    let soon = [("OTEL_BSP_SCHEDULE_DELAY", "1")];
    let (traces, exporter) = Traces::new(settings(receiver, &[variables, &soon].concat())).unwrap();
    let stop = CancellationToken::new();
    let ended = tokio::spawn(exporter.run(stop.clone().cancelled_owned(), grace));
    Running { traces, stop, ended }
}

/// Says that a batch was taken.
pub(crate) fn taken() -> Script {
    Script::new().answer(200, "application/x-protobuf", b"")
}

/// The spans of one request.
pub(crate) fn decode(request: &ReceivedRequest) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(request.body.clone()).unwrap()
}

/// The spans of one request, without who reports them.
pub(crate) fn spans_of(request: &ReceivedRequest) -> Vec<Span> {
    let mut resources = decode(request).resource_spans;
    assert_eq!((resources.len(), resources[0].scope_spans.len()), (1, 1));
    resources.remove(0).scope_spans.remove(0).spans
}

/// The place of a call that continues its caller's trace.
pub(crate) fn place(trace: u128, span: u64, parent: Option<u64>) -> CallTrace {
    let own = TraceParent::new(NonZeroU128::new(trace).unwrap(), NonZeroU64::new(span).unwrap(), true);
    CallTrace { own, parent: parent.and_then(NonZeroU64::new) }
}

/// Tells of a call with one fallback: the first provider was overloaded, the second answered.
pub(crate) fn settle(traces: &Traces, trace: Option<CallTrace>) {
    static ID: LazyLock<RequestId> = LazyLock::new(|| RequestId::from_random(1));
    let attempts = [
        attempt("main", Outcome::Overloaded { retry_after: None }, 503, 0xa1),
        AttemptRecord {
            began: Duration::from_millis(20),
            elapsed: Duration::from_millis(70),
            ..attempt("spare", Outcome::Success, 200, 0xa2)
        },
    ];
    let record = CallRecord {
        request_id: &ID,
        trace,
        method: "POST",
        path: "/v1/chat/completions",
        endpoint: Some(Endpoint::ChatCompletions),
        key: Some(&"team a".into()),
        model: Some("fast"),
        entry: Some(&"fast".into()),
        status: 200,
        error: None,
        refused_by: None,
        stream: true,
        attempts: &attempts,
        answering: Some(1),
        tokens: Some(Tokens { usage: Usage { prompt: 9, completion: 3, cached: 0 }, is_estimated: false }),
        cost_nano_usd: 12_500,
        tags: &[("note".to_owned(), "canary of a caller".to_owned())],
        duration: Duration::from_millis(100),
        first_byte: Some(Duration::from_millis(40)),
        overhead: Duration::from_micros(42),
        bytes_out: 99,
    };
    traces.on_event(&Event::Settled(&record));
}

fn attempt(provider: &str, outcome: Outcome, status: u16, span: u64) -> AttemptRecord {
    AttemptRecord {
        model: "fast".into(),
        entry: Some("fast".into()),
        provider: provider.into(),
        provider_type: "openai".into(),
        upstream_model: "gpt-4o-mini".into(),
        outcome,
        status: Some(status),
        span: NonZeroU64::new(span),
        began: Duration::from_millis(1),
        head: None,
        elapsed: Duration::from_millis(15),
    }
}
