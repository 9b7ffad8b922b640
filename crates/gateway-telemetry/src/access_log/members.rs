//! What a line of the access log says, whatever its form.

use std::fmt::Write as _;
use std::time::Duration;

use gateway_call::CallRecord;

use super::token;

/// The name of a member, as lines of JSON and of text have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) plain: &'static str,
    /// With all that stands before a value: the comma, quotation marks and the colon.
    pub(super) json: &'static str,
    /// With the quotation mark of text as well.
    pub(super) json_text: &'static str,
}

macro_rules! name {
    ($name:literal) => {
        Name { plain: $name, json: concat!(",\"", $name, "\":"), json_text: concat!(",\"", $name, "\":\"") }
    };
}

/// Takes the members of a line, in their order. One without a value is left out.
pub(super) trait Members {
    /// Any text.
    fn text<'a>(&mut self, name: Name, value: impl Into<Option<&'a str>>);
    /// Text that holds nothing that any form would have to escape, and that is made where it is to be.
    fn plain(&mut self, name: Name, value: Option<impl FnOnce(&mut String)>);
    /// A whole number.
    fn number(&mut self, name: Name, value: impl Into<Option<u64>>);
    /// A number that is finite.
    fn float(&mut self, name: Name, value: impl Into<Option<f64>>);
    /// Yes or no.
    fn flag(&mut self, name: Name, value: impl Into<Option<bool>>);
}

/// Tells all there is to tell of a call.
pub(super) fn put(record: &CallRecord<'_>, to: &mut impl Members) {
    let served = record.served_by();
    let usage = record.tokens.map(|tokens| tokens.usage);
    to.text(name!("request_id"), record.request_id.as_str());
    to.plain(name!("trace_id"), record.trace.map(|trace| move |line: &mut String| put_trace_id(line, trace.own.trace)));
    to.text(name!("key"), record.key.map(|key| &**key));
    to.text(name!("method"), record.method);
    to.text(name!("endpoint"), record.path);
    to.text(name!("model"), record.model);
    to.text(name!("provider"), served.map(|attempt| &*attempt.provider));
    to.text(name!("upstream_model"), served.map(|attempt| attempt.upstream_model.as_str()));
    to.number(name!("status"), u64::from(record.status));
    to.text(name!("error"), record.error);
    to.flag(name!("stream"), record.stream);
    to.plain(name!("attempts"), Some(|line: &mut String| token::put_attempts(line, record.attempts)));
    let tags = (!record.tags.is_empty()).then_some(|line: &mut String| token::put_tags(line, record.tags));
    to.plain(name!("tags"), tags);
    to.number(name!("prompt_tokens"), usage.map(|usage| usage.prompt));
    to.number(name!("completion_tokens"), usage.map(|usage| usage.completion));
    to.number(name!("cached_tokens"), usage.map(|usage| usage.cached));
    to.flag(name!("tokens_estimated"), record.tokens.is_some_and(|tokens| tokens.is_estimated).then_some(true));
    to.float(name!("cost_usd"), record.cost_usd());
    to.float(name!("ttft_ms"), record.first_byte.map(milliseconds));
    to.float(name!("duration_ms"), milliseconds(record.duration));
    to.number(name!("overhead_us"), u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX));
    to.number(name!("bytes"), record.bytes_out);
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// As traces show it, so that a line can be found from there.
fn put_trace_id(line: &mut String, trace: impl std::fmt::LowerHex) {
    // A string takes whatever is written to it.
    let _ = write!(line, "{trace:032x}");
}
