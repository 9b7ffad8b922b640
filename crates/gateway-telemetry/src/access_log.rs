//! One line a call, written when it settles.
//!
//! A line is made of a [`CallRecord`] and of nothing else, and no field of that can hold a key: credentials are
//! `gateway_secret::Secret`s, which nothing can print. What a caller chose (identifier, model, tags) is escaped.

use std::fmt;
use std::time::Duration;

use gateway_call::{AttemptRecord, CallRecord, CallTrace, Event, Observer};

/// Writes the access log: target `access`, level `info`, one event a call, data in fields.
///
/// Of many calls a share is enough, but each one that went wrong matters: see [`sampled`](Self::sampled). Whatever counts
/// calls is another observer and counts all of them.
///
/// ```
/// use std::sync::Arc;
///
/// use gateway_telemetry::{AccessLog, Metrics, Observers};
///
/// // All errors and a tenth of the rest are written, and everything is counted.
/// let observers = Observers::new([Arc::new(AccessLog::sampled(0.1)) as _, Arc::new(Metrics::new()) as _]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct AccessLog {
    /// Identifiers whose hash is below are written; all if it is the largest number.
    below: u64,
}

impl AccessLog {
    /// Writes this share, 0 to 1, of the calls that went well, and every other: one with a status from 400, and one that
    /// broke off after its head. A share beyond the range is the nearest within.
    ///
    /// The request's identifier decides, and nothing else. So the lines that several gateways, or a gateway before and after
    /// a restart, write about one request are all there or all missing.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` ends at the ends of the range")]
    pub const fn sampled(share: f64) -> Self {
        const HASHES: f64 = 18_446_744_073_709_551_616.0;
        Self { below: (share * HASHES) as u64 }
    }

    fn writes(self, record: &CallRecord<'_>) -> bool {
        record.status >= 400
            || record.error.is_some()
            || self.below == u64::MAX
            || hash(record.request_id.as_str()) < self.below
    }
}

impl Default for AccessLog {
    /// Writes every call.
    fn default() -> Self {
        Self::sampled(1.0)
    }
}

impl Observer for AccessLog {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(record) = event
            && self.writes(record)
        {
            write(record);
        }
    }
}

/// FNV-1a (draft-eastlake-fnv), and the finalizer of `MurmurHash3` behind it, without which identifiers that count up would not
/// be spread. Both are what they are forever, which a hash of the standard library is not.
fn hash(id: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = id.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

fn write(record: &CallRecord<'_>) {
    let served = record.served_by();
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

    /// What is written about calls, one JSON object a line.
    fn written(log: AccessLog, records: &[CallRecord<'_>]) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for record in records {
                log.on_event(&Event::Settled(record));
            }
        });
        let text = lines.0.lock().clone();
        String::from_utf8(text).unwrap()
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
                assert!(
                    (f64::from(u32::try_from(count).unwrap()) - expected).abs() < bound,
                    "{kind}, {share}: {count}"
                );
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

    #[test]
    fn a_settled_call_is_one_json_line() {
        let attempts = [AttemptRecord {
            model: "gpt-4o".into(),
            entry: Some("gpt-4o".into()),
            provider: "main".into(),
            provider_type: "openai".into(),
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
            ("tags", serde_json::json!("job=nightly\\nrun")),
            ("duration_ms", serde_json::json!(12.345)),
            ("overhead_us", serde_json::json!(42)),
        ] {
            assert_eq!(line[field], expected, "{field} in {text}");
        }
        assert!(line.get("error").is_none());
    }
}
