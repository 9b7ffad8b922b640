//! A receiver of traces, which reads them with OpenTelemetry's own definition.

use gateway_testing::{FakeUpstream, Script};
use gateway_tests::patience::until;
use gateway_tests::site::Site;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// A receiver that takes everything.
#[derive(Debug)]
pub(crate) struct Receiver(FakeUpstream);

impl Receiver {
    pub(crate) async fn start() -> Self {
        let receiver = FakeUpstream::start([]).await.unwrap();
        receiver.otherwise(|_| Script::new().answer(200, "application/x-protobuf", b""));
        Self(receiver)
    }

    /// Has the gateways of a site send their traces here, each as soon as it can.
    pub(crate) fn equip(&self, site: Site) -> Site {
        let endpoint = format!("http://{}", self.0.address());
        site.with("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).with("OTEL_BSP_SCHEDULE_DELAY", "1")
    }

    /// What has come, each byte of it: heads and bodies.
    pub(crate) fn bytes(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.requests().iter().map(|request| (request.head.to_vec(), request.body.to_vec())).collect()
    }

    /// The spans that have come, in order.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let batches = self.0.requests();
        let batches = batches.iter().map(|request| ExportTraceServiceRequest::decode(request.body.clone()).unwrap());
        let resources = batches.flat_map(|batch| batch.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// Waits for so many spans.
    pub(crate) async fn received(&self, count: usize) -> Vec<Span> {
        let spans = async || Some(self.spans()).filter(|spans| spans.len() >= count);
        until(&format!("{count} spans"), spans).await.0
    }
}

/// An attribute of a span as text; empty if it has none of that name.
pub(crate) fn attribute(span: &Span, name: &str) -> String {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name);
    match attribute.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(other) => panic!("{name} is {other:?}"),
    }
}
