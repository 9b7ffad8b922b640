//! A call in its trace: from its caller's span through its own to those of its attempts, and on to the upstreams.

use gateway_testing::{FakeUpstream, ReceivedRequest, Script};
use gateway_tests::hexadecimal::digits;
use gateway_tests::site::{Node, Site, calling};
use gateway_tests::stage::{CALLER_KEY, PROVIDER_KEY, with_header};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use crate::receiver::{Receiver, attribute};

/// A model that is tried twice, and another that it is left for.
const CONFIG: &str = r#"
providers:
  - { name: main, api_base: "${UPSTREAM}", api_key: "${PROVIDER_KEY}", model_mapping: { first: first-1 } }
  - { name: spare, api_base: "${OTHER}", api_key: "${PROVIDER_KEY}", model_mapping: { second: second-1 } }
models:
  first: { max_retries: 1, fallback_models: [second] }
retry: { base_delay: 1ms, max_delay: 1ms }
circuit_breaker: { consecutive_failures: 1000, min_requests: 1000 }
master_keys: [ { name: team, key: "${CALLER_KEY}" } ]
"#;

const CALL: &str = r#"{"model":"first"}"#;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLERS_SPAN: &str = "00f067aa0ba902b7";

struct Scene {
    receiver: Receiver,
    site: Site,
    other: FakeUpstream,
    node: Node,
}

impl Scene {
    async fn new() -> Self {
        let (receiver, other) = (Receiver::start().await, FakeUpstream::start([]).await.unwrap());
        other.otherwise(|_| Script::json(200, "{}"));
        let site = Site::of(CONFIG).await.with("OTHER", &other.api_base()).with("PROVIDER_KEY", PROVIDER_KEY);
        let site = receiver.equip(site);
        let node = site.start();
        Self { receiver, site, other, node }
    }

    /// Makes a call that a header is part of if it has a value. Both attempts at the first model fail.
    async fn call(&self, traceparent: &str) {
        for status in [500, 503] {
            self.site.upstream.push(Script::json(status, "{}"));
        }
        let request = calling(CALLER_KEY, CALL);
        let request = if traceparent.is_empty() { request } else { with_header(request, "traceparent", traceparent) };
        let answer = self.node.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-gateway-attempts"), "3");
    }

    /// What the upstreams got, in order.
    fn sent(&self) -> Vec<ReceivedRequest> {
        [self.site.upstream.requests(), self.other.requests()].concat()
    }
}

/// What an upstream is told of the span of its attempt.
fn traceparent_of(span: &Span) -> String {
    format!("00-{}-{}-01", digits(&span.trace_id), digits(&span.span_id))
}

/// Panics unless the spans are those of one call, whose attempts the upstreams were told of.
fn assert_is_a_tree(spans: &[Span], sent: &[ReceivedRequest]) {
    let [call, attempts @ ..] = spans else { panic!("no spans") };
    assert_eq!((attempts.len(), sent.len()), (3, 3));
    assert_eq!((call.kind(), call.span_id.len()), (SpanKind::Server, 8));
    for (attempt, request) in attempts.iter().zip(sent) {
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert_eq!((&attempt.trace_id, &attempt.parent_span_id), (&call.trace_id, &call.span_id));
        let told: Vec<_> = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("traceparent")).collect();
        assert_eq!(told.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [traceparent_of(attempt)]);
        assert!(call.start_time_unix_nano <= attempt.start_time_unix_nano);
        assert!(attempt.start_time_unix_nano <= attempt.end_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= call.end_time_unix_nano);
    }
    let mut own: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    own.sort_unstable();
    own.dedup();
    assert_eq!(own.len(), 4, "each span has an identifier of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_trace_goes_on_through_a_retry_and_a_fallback() {
    let scene = Scene::new().await;
    scene.call(&format!("00-{TRACE}-{CALLERS_SPAN}-01")).await;
    let spans = scene.receiver.received(4).await;
    assert_is_a_tree(&spans, &scene.sent());
    assert_eq!((digits(&spans[0].trace_id), digits(&spans[0].parent_span_id)), (TRACE.into(), CALLERS_SPAN.into()));

    let shown = |span: &Span| {
        let names = ["llm_proxy.provider", "gen_ai.request.model", "llm_proxy.outcome", "http.response.status_code"];
        names.map(|name| attribute(span, name)).join(" ")
    };
    assert_eq!(shown(&spans[1]), "main first-1 server_error 500");
    assert_eq!(shown(&spans[2]), "main first-1 overloaded 503");
    assert_eq!(shown(&spans[3]), "spare second-1 success 200");
    let of_ai = ["gen_ai.operation.name", "gen_ai.provider.name"];
    for attempt in &spans[1..] {
        assert_eq!(of_ai.map(|name| attribute(attempt, name)), ["chat", "openai"]);
    }
    // Whoever counts operations and models by these counts each attempt once, and the call not at all.
    assert_eq!(spans[0].attributes.iter().find(|it| it.key.starts_with("gen_ai.")), None);
    assert_eq!(
        (attribute(&spans[0], "llm_proxy.model"), attribute(&spans[0], "http.route")),
        ("first".into(), "/v1/chat/completions".into())
    );
    let codes = spans.iter().map(|span| span.status.as_ref().map_or(StatusCode::Unset, Status::code));
    assert_eq!(
        codes.collect::<Vec<_>>(),
        [StatusCode::Unset, StatusCode::Error, StatusCode::Error, StatusCode::Unset],
        "the call went well in the end"
    );
    // The access log leads to the trace.
    let log = scene.node.process.stop();
    let line = log.iter().find(|line| line.contains(r#""target":"access""#)).expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["trace_id"], TRACE);
    assert_eq!(line["request_id"], attribute(&spans[0], "llm_proxy.request_id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_trace_begins_one() {
    let scene = Scene::new().await;
    for (number, header) in ["", "00-nonsense-01"].into_iter().enumerate() {
        scene.call(header).await;
        let spans = scene.receiver.received(4 * (number + 1)).await.split_off(4 * number);
        let (upstream, other) = (scene.site.upstream.requests(), scene.other.requests());
        assert_is_a_tree(&spans, &[&upstream[2 * number..], &other[number..]].concat());
        assert_eq!((spans[0].parent_span_id.len(), spans[0].trace_id.len()), (0, 16), "{header}");
    }
}

/// The second call is there so that there is something to wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_its_caller_does_not_record_is_not_recorded() {
    let scene = Scene::new().await;
    scene.call(&format!("00-{TRACE}-{CALLERS_SPAN}-00")).await;
    for request in scene.sent() {
        let told = request.header("traceparent").unwrap_or_default();
        assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
        assert!(!told.contains(CALLERS_SPAN), "{told}");
    }
    scene.call("").await;
    drop(scene.node.process.stop());
    let spans = scene.receiver.spans();
    assert_eq!(spans.len(), 4);
    assert!(spans.iter().all(|span| digits(&span.trace_id) != TRACE));
}
