//! From a settled call to spans: one of the call, as a server's, and below it one of each attempt, as a client's.
//!
//! Names and values come from the configuration and from constants; the request's identifier is the one thing that a caller may have
//! written. So a model that the configuration does not name shows as the pattern that stands for it, or not at all.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use gateway_call::{AttemptRecord, CallTrace, Outcome};

use crate::convention::{
    API_KEY_NAME, ATTEMPTS, COST_USD, ERROR_CODE, ERROR_TYPE, GEN_AI_OPERATION_NAME, GEN_AI_PROVIDER_NAME,
    GEN_AI_REQUEST_MODEL, GEN_AI_REQUEST_STREAM, GEN_AI_TIME_TO_FIRST_CHUNK, GEN_AI_USAGE_CACHE_READ,
    GEN_AI_USAGE_INPUT_TOKENS, GEN_AI_USAGE_OUTPUT_TOKENS, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    MODEL, OTHER_METHOD, OUTCOME, OVERHEAD_US, PROVIDER, REQUEST_ID, STREAM, TTFT_MS, USAGE_ESTIMATED, operation,
    provider_name, route,
};
use crate::otlp::{HAS_IS_REMOTE, IS_REMOTE, KeyValue, Span, SpanKind, Status, StatusCode, Value};
use crate::settled::SettledCall;

/// The flag of a trace that is recorded (W3C Trace Context, section 3.2.2.5).
const SAMPLED: u32 = 1;

/// The spans of one call: its own, then those of its attempts in order.
pub(crate) fn spans(call: &SettledCall) -> impl Iterator<Item = Span> {
    let times = Times::of(call);
    let attempts = call.attempts.iter().enumerate().filter_map(move |(number, attempt)| {
        Some(attempt_span(call, attempt, attempt.span?, times.attempt(attempt), call.answering == Some(number)))
    });
    [call_span(call, times)].into_iter().chain(attempts)
}

/// From and until when, in nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    end: u64,
}

impl Times {
    /// The wall clock is read once, at the end of the call. What came before is told by the clock that nobody sets.
    fn of(call: &SettledCall) -> Self {
        let end = nanos(call.ended.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        Self { start: end.saturating_sub(nanos(call.duration)), end }
    }

    fn attempt(self, attempt: &AttemptRecord) -> Self {
        let start = self.start.saturating_add(nanos(attempt.began)).min(self.end);
        Self { start, end: start.saturating_add(nanos(attempt.elapsed)).min(self.end) }
    }
}

/// Until the year 2554.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn call_span(call: &SettledCall, times: Times) -> Span {
    // "HTTP" where the method is none of its own (HTTP spans, section "Name").
    let (method, in_name) = if call.method == "other" { (OTHER_METHOD, "HTTP") } else { (call.method, call.method) };
    let is_failed = call.status >= 500;
    let mut attributes = Attributes::default();
    attributes.add(HTTP_REQUEST_METHOD, method);
    attributes.add_some(HTTP_ROUTE, route(call.path));
    attributes.add(HTTP_RESPONSE_STATUS_CODE, call.status);
    if is_failed {
        attributes.add(ERROR_TYPE, &*call.status.to_string());
    }
    attributes.add_some(MODEL, call.entry.as_deref());
    attributes.add(REQUEST_ID, call.request_id.as_str());
    attributes.add_some(API_KEY_NAME, call.key.as_deref());
    attributes.add_some(ERROR_CODE, call.error);
    attributes.add(STREAM, call.stream);
    attributes.add(ATTEMPTS, call.attempts.len() as u64);
    attributes.add_some(COST_USD, call.cost_usd);
    attributes.add_some(TTFT_MS, call.first_byte.map(|after| after.as_secs_f64() * 1e3));
    attributes.add(OVERHEAD_US, u64::try_from(call.overhead.as_micros()).unwrap_or(u64::MAX));
    let place = Place { span: call.trace.own.span, parent: call.trace.parent, is_parent_remote: true };
    let name: Vec<_> = [Some(in_name), route(call.path)].into_iter().flatten().collect();
    place.span(call.trace, times, SpanKind::Server, name.join(" ")).with(attributes, is_failed)
}

fn attempt_span(call: &SettledCall, attempt: &AttemptRecord, span: NonZeroU64, times: Times, answers: bool) -> Span {
    let operation = call.endpoint.map(operation);
    let model = configured_model(attempt);
    // Whoever was cancelled did nothing wrong: the caller left, or another attempt was faster.
    let is_failed = !matches!(attempt.outcome, Outcome::Success | Outcome::Cancelled);
    let mut attributes = Attributes::default();
    attributes.add_some(GEN_AI_OPERATION_NAME, operation);
    attributes.add(GEN_AI_PROVIDER_NAME, provider_name(&attempt.provider_type));
    attributes.add_some(GEN_AI_REQUEST_MODEL, model);
    attributes.add_some(GEN_AI_REQUEST_STREAM, call.stream.then_some(true));
    attributes.add(PROVIDER, &*attempt.provider);
    attributes.add_some(HTTP_RESPONSE_STATUS_CODE, attempt.status);
    attributes.add(OUTCOME, attempt.outcome.name());
    if is_failed {
        attributes.add(ERROR_TYPE, attempt.outcome.name());
    }
    if answers {
        let first_chunk = call.first_byte.filter(|_| call.stream).and_then(|first| first.checked_sub(attempt.began));
        attributes.add_some(GEN_AI_TIME_TO_FIRST_CHUNK, first_chunk.map(|after| after.as_secs_f64()));
        attributes.add_usage(call);
    }
    let name: Vec<_> = [operation.or(Some(call.path)), model].into_iter().flatten().collect();
    let place = Place { span, parent: Some(call.trace.own.span), is_parent_remote: false };
    place.span(call.trace, times, SpanKind::Client, name.join(" ")).with(attributes, is_failed)
}

/// What the configuration calls the model that an attempt asked for: the provider's name for it if the entry is of that one model, or
/// else the entry, which is a pattern then. None where a provider takes any name.
fn configured_model(attempt: &AttemptRecord) -> Option<&str> {
    let entry = attempt.entry.as_ref()?;
    Some(if entry.as_str() == attempt.model.as_str() { attempt.upstream_model.as_str() } else { entry })
}

/// Which span, below which.
struct Place {
    span: NonZeroU64,
    parent: Option<NonZeroU64>,
    is_parent_remote: bool,
}

impl Place {
    fn span(self, trace: CallTrace, times: Times, kind: SpanKind, name: String) -> Span {
        let remote = if self.parent.is_some() && self.is_parent_remote { IS_REMOTE } else { 0 };
        Span {
            trace_id: trace.own.trace.get().to_be_bytes().into(),
            id: self.span.get().to_be_bytes().into(),
            parent_span_id: self.parent.map(|parent| parent.get().to_be_bytes().into()).unwrap_or_default(),
            name,
            kind: kind.into(),
            start_time_unix_nano: times.start,
            end_time_unix_nano: times.end,
            attributes: Vec::new(),
            status: None,
            flags: SAMPLED | HAS_IS_REMOTE | remote,
        }
    }
}

impl Span {
    fn with(self, attributes: Attributes, is_failed: bool) -> Self {
        let status = is_failed.then(|| Status { code: StatusCode::Error.into() });
        Self { attributes: attributes.0, status, ..self }
    }
}

/// Attributes of a span in the making.
#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(name, value));
    }

    fn add_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn add_usage(&mut self, call: &SettledCall) {
        let Some(tokens) = call.tokens else { return };
        self.add(GEN_AI_USAGE_INPUT_TOKENS, tokens.usage.prompt);
        self.add(GEN_AI_USAGE_OUTPUT_TOKENS, tokens.usage.completion);
        self.add_some(GEN_AI_USAGE_CACHE_READ, (tokens.usage.cached > 0).then_some(tokens.usage.cached));
        self.add_some(USAGE_ESTIMATED, tokens.is_estimated.then_some(true));
    }
}

#[cfg(test)]
mod tests;
