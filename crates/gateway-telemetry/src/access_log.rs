//! One line a call, written when it settles.
//!
//! A line is made of a [`CallRecord`] and of nothing else, and no field of that can hold a key: credentials are
//! `gateway_secret::Secret`s, which nothing can print. What a caller chose is escaped: identifier
//! and model as any text of a line, and what stands within a text that has parts, models of attempts and tags, as a [`Token`].

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
        cost_usd = record.cost_usd(),
        ttft_ms = record.first_byte.map(milliseconds),
        duration_ms = milliseconds(record.duration),
        overhead_us = u64::try_from(record.overhead.as_micros()).unwrap_or(u64::MAX),
        bytes = record.bytes_out,
        "call"
    );
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

/// `provider/model:outcome:status`, separated by commas. No provider has a slash in its name; the model may be a caller's text.
struct Attempts<'a>(&'a [AttemptRecord]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attempt) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (provider, model) = (Token(&attempt.provider), Token(attempt.upstream_model.as_str()));
            write!(f, "{comma}{provider}/{model}:{}", attempt.outcome.name())?;
            if let Some(status) = attempt.status {
                write!(f, ":{status}")?;
            }
        }
        Ok(())
    }
}

/// `name=value`, separated by commas: the text is a caller's.
struct Tags<'a>(&'a [(String, String)]);

impl fmt::Display for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}={}", Token(name), Token(value))?;
        }
        Ok(())
    }
}

/// Part of a text that has several, with what separates parts here or in a line of text, and everything invisible, percent-encoded
/// (RFC 3986, section 2.1). Letters of any script stay readable, and decoding gives back what it was.
struct Token<'a>(&'a str);

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(found) = rest.chars().find(|character| !is_plain(*character))
            && let Some((plain, behind)) = rest.split_once(found)
        {
            f.write_str(plain)?;
            found.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
            rest = behind;
        }
        f.write_str(rest)
    }
}

/// Whether a character stands for itself in a [`Token`].
fn is_plain(character: char) -> bool {
    match character {
        '"' | '%' | ',' | ':' | '=' | '\\' => false,
        _ if character.is_ascii() => character.is_ascii_graphic(),
        // What the standard library shows as it is, is visible and no blank.
        _ => character.escape_debug().len() == 1,
    }
}

#[cfg(test)]
mod tests;
