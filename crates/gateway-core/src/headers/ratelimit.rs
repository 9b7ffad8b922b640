//! What callers are told of their limits, in the headers that OpenAI uses ("Rate limits in headers").

use std::time::Duration;

use gateway_ratelimit::{Level, Levels};
use http::header::{HeaderMap, HeaderName};

use super::text::{ShortText, number};

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
    headers.insert(limit, number(level.limit));
    headers.insert(remaining, number(level.remaining));
    if let Some(value) = duration(level.reset).value() {
        headers.insert(reset, value);
    }
}

/// A duration as OpenAI writes it, which is as Go does, to the millisecond: `20ms`, `1.5s`, `6m0s`. Rounded up.
fn duration(duration: Duration) -> ShortText {
    let begun = u64::from(!duration.subsec_nanos().is_multiple_of(1_000_000));
    let millis = duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis()) + begun);
    let mut text = ShortText::new();
    if millis < 1000 {
        text.push_number(millis);
        text.push(b"ms");
        return text;
    }
    let (hours, minutes, millis) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
    if hours > 0 {
        text.push_number(hours);
        text.push(b"h");
    }
    if hours > 0 || minutes > 0 {
        text.push_number(minutes);
        text.push(b"m");
    }
    text.push_number(millis / 1000);
    push_fraction(millis % 1000, &mut text);
    text.push(b"s");
    text
}

/// Adds thousandths without the zeros at their end.
fn push_fraction(thousandths: u64, text: &mut ShortText) {
    let (mut rest, mut worth) = (thousandths, 100);
    if rest > 0 {
        text.push(b".");
    }
    while rest > 0 {
        text.push_number(rest / worth);
        (rest, worth) = (rest % worth, worth / 10);
    }
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
            (1_005_000, "1.005s"),
            (60_000_000, "1m0s"),
            (360_000_000, "6m0s"),
            (3_600_000_000, "1h0m0s"),
            (3_661_250_000, "1h1m1.25s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)).value().unwrap(), expected, "{micros}");
        }
    }
}
