//! What callers are told of their limits, in the headers that OpenAI uses ("Rate limits in headers").

use std::fmt::Write as _;
use std::time::Duration;

use gateway_ratelimit::{Level, Levels};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The names of limit, remainder and time until all is there again, for one kind of limit.
type Names = [HeaderName; 3];

const REQUESTS: Names = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];

const TOKENS: Names = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Adds what is known of the levels.
pub(crate) fn tell(levels: Levels, headers: &mut HeaderMap) {
    for (level, names) in [(levels.requests, REQUESTS), (levels.tokens, TOKENS)] {
        if let Some(level) = level {
            tell_one(level, names, headers);
        }
    }
}

fn tell_one(level: Level, [limit, remaining, reset]: Names, headers: &mut HeaderMap) {
    headers.insert(limit, HeaderValue::from(level.limit));
    headers.insert(remaining, HeaderValue::from(level.remaining));
    if let Ok(value) = HeaderValue::try_from(duration(level.reset)) {
        headers.insert(reset, value);
    }
}

/// A duration as OpenAI writes it, which is as Go does, to the millisecond: `20ms`, `1.5s`, `6m0s`. Rounded up.
fn duration(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes, millis) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
    let mut text = String::new();
    if hours > 0 {
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let (seconds, fraction) = (millis / 1000, millis % 1000);
    let _ = write!(text, "{seconds}");
    if fraction > 0 {
        let _ = write!(text, ".{}", format!("{fraction:03}").trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (micros, expected) in [
            (0, "0ms"),
            (1, "1ms"),
            (20_000, "20ms"),
            (999_001, "1s"),
            (1_500_000, "1.5s"),
            (1_050_000, "1.05s"),
            (60_000_000, "1m0s"),
            (360_000_000, "6m0s"),
            (3_600_000_000, "1h0m0s"),
            (3_661_250_000, "1h1m1.25s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), expected, "{micros}");
        }
    }
}
