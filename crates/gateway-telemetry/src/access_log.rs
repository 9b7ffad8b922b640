//! One line a call, written when it settles.

use std::fmt;
use std::time::Duration;

use gateway_call::{AttemptRecord, CallRecord, CallTrace, Event, Observer};

/// Writes the access log: target `access`, level `info`, one event a call, data in fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccessLog;

impl Observer for AccessLog {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(record) = event {
            write(record);
        }
    }
}

fn write(record: &CallRecord<'_>) {
    let served = record.attempts.last();
    let usage = record.tokens.map(|tokens| tokens.usage);
    tracing::info!(
        target: "access",
        request_id = record.request_id.as_str(),
        trace_id = record.trace.map(|trace| tracing::field::display(TraceId(trace))),
        key = record.key.map(|key| &**key),
        method = record.method,
        endpoint = record.path,
        model = record.model,
        provider = served.map(|attempt| &*attempt.provider),
        upstream_model = served.map(|attempt| attempt.upstream_model.as_str()),
        status = record.status,
        error = record.error,
        stream = record.stream,
        attempts = %Attempts(record.attempts),
        tags = (!record.tags.is_empty()).then(|| tracing::field::display(Tags(record.tags))),
        prompt_tokens = usage.map(|usage| usage.prompt),
        completion_tokens = usage.map(|usage| usage.completion),
        cached_tokens = usage.map(|usage| usage.cached),
        tokens_estimated = record.tokens.is_some_and(|tokens| tokens.is_estimated).then_some(true),
        cost_usd = (record.cost_nano_usd > 0).then(|| usd(record.cost_nano_usd)),
        ttft_ms = record.first_byte.map(milliseconds),
        duration_ms = milliseconds(record.duration),
        overhead_us = u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX),
        bytes = record.bytes_out,
        "call"
    );
}

#[expect(clippy::cast_precision_loss, reason = "exact to nine million dollars")]
fn usd(nano: u64) -> f64 {
    nano as f64 / 1e9
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// As traces show it, so that a line can be found from there.
struct TraceId(CallTrace);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0.own.trace)
    }
}

/// `provider/model:outcome:status`, separated by commas.
struct Attempts<'a>(&'a [AttemptRecord]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attempt) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}/{}:{}", attempt.provider, attempt.upstream_model, attempt.outcome.name())?;
            if let Some(status) = attempt.status {
                write!(f, ":{status}")?;
            }
        }
        Ok(())
    }
}

/// `name=value`, separated by commas, with everything but visible characters escaped: the text is a caller's.
struct Tags<'a>(&'a [(String, String)]);

impl fmt::Display for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}={}", name.escape_debug(), value.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use gateway_call::{Endpoint, Outcome, RequestId, Tokens, Usage};
    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_settled_call_is_one_json_line() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let attempts = [AttemptRecord {
            model: "gpt-4o".into(),
            entry: Some("gpt-4o".into()),
            provider: "main".into(),
            upstream_model: "gpt-4o-2024".into(),
            outcome: Outcome::Success,
            status: Some(200),
            span: None,
            began: Duration::ZERO,
            head: Some(Duration::from_millis(9)),
            elapsed: Duration::from_millis(12),
        }];
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
            tags: &[("job".to_owned(), "nightly\nrun".to_owned())],
            duration: Duration::from_micros(12_345),
            first_byte: Some(Duration::from_millis(10)),
            overhead: Duration::from_micros(42),
            bytes_out: 99,
        };
        tracing::subscriber::with_default(subscriber, || AccessLog.on_event(&Event::Settled(&record)));
        let text = String::from_utf8(lines.0.lock().clone()).unwrap();
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
            ("tags", serde_json::json!("job=nightly\\nrun")),
            ("duration_ms", serde_json::json!(12.345)),
            ("overhead_us", serde_json::json!(42)),
        ] {
            assert_eq!(line[field], expected, "{field} in {text}");
        }
        assert!(line.get("error").is_none());
    }
}
