//! How long an upstream asks to be left alone.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName};

/// Longest wait that is believed. Whoever asks for more is asked again after a day.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// Milliseconds, sent by OpenAI and Azure beside `retry-after` and preferred by their SDKs.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The wait that an answer asks for: `retry-after-ms`, or `retry-after` (RFC 9110 section 10.2.3) in seconds or as a
/// date, measured from the answer's own `date`, which is a clock that cannot disagree with it, or, where there is none,
/// from when the answer was `received`.
///
/// Fractions are read, as SDKs do. A date that has passed means no wait, more than a day means a day, and what cannot be
/// read means that nothing was asked.
pub(crate) fn retry_after(headers: &HeaderMap, received: SystemTime) -> Option<Duration> {
    if let Some(wait) = header(headers, &RETRY_AFTER_MS).and_then(|text| parse_amount(text, 1e-3)) {
        return Some(wait);
    }
    let text = header(headers, &RETRY_AFTER)?;
    parse_amount(text, 1.0).or_else(|| {
        let until = parse_date(text)?;
        let now = header(headers, &DATE).and_then(parse_date).unwrap_or(received);
        Some(until.duration_since(now).unwrap_or_default().min(MAX_WAIT))
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn parse_amount(text: &str, unit: f64) -> Option<Duration> {
    // Rust also reads `inf`, `nan` and exponents, which no server means.
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = text.parse::<f64>().ok().filter(|_| is_decimal)? * unit;
    Some(Duration::try_from_secs_f64(seconds).map_or(MAX_WAIT, |wait| wait.min(MAX_WAIT)))
}

/// A date in the one form that servers may send: `Sun, 06 Nov 1994 08:49:37 GMT` (IMF-fixdate, RFC 9110 section 5.6.7).
fn parse_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = number(words.next()?, 1..=31)?;
    let month = words.next().and_then(|name| MONTHS.iter().position(|month| *month == name))?;
    let year: u64 = number(words.next()?, 1970..=9999)?;
    let mut clock = words.next()?.split(':');
    let (hour, minute) = (number(clock.next()?, 0..=23)?, number(clock.next()?, 0..=59)?);
    let second = number(clock.next()?, 0..=60)?;
    if words.next() != Some("GMT") || words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let days = days_since_epoch(year, month as u64 + 1, day);
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn number(text: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    range.contains(&number).then_some(number)
}

/// Days from 1970-01-01 in the Gregorian calendar, counted in years that start in March so that leap days come last.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let month_days = (153 * month + 2) / 5;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    365 * year + leap_days + month_days + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn dates_are_read() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Fri, 31 Dec 9999 23:59:60 GMT", Some(253_402_300_800)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 06 Nov 1969 08:49:37 GMT", None),
            ("Sun, +6 Nov 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("", None),
        ] {
            let seconds = parse_date(text).map(|date| date.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
            assert_eq!(seconds, expected, "{text}");
        }
    }

    #[test]
    fn waits_are_read_from_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let seconds = |text| headers(&[(RETRY_AFTER, text)]);
        for (headers, expected) in [
            (headers(&[]), None),
            (seconds("7"), Some(7000)),
            (seconds(" 0.25 "), Some(250)),
            (seconds("0"), Some(0)),
            (seconds("-1"), None),
            (seconds("inf"), None),
            (seconds("1e3"), None),
            (seconds("soon"), None),
            (seconds(""), None),
            (seconds("."), None),
            (seconds("99999999999999999999999999"), Some(86_400_000)),
            (seconds("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60_000)),
            (seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0)),
            (seconds("Fri, 31 Dec 9999 23:59:59 GMT"), Some(86_400_000)),
            (seconds("Sun, 06 Nov 1994 08:50:37"), None),
            (headers(&[(RETRY_AFTER_MS, "1500"), (RETRY_AFTER, "2")]), Some(1500)),
            (headers(&[(RETRY_AFTER_MS, "x"), (RETRY_AFTER, "2")]), Some(2000)),
            (headers(&[(RETRY_AFTER_MS, "1500.5")]), Some(1500)),
            (headers(&[(RETRY_AFTER_MS, "0"), (RETRY_AFTER, "2")]), Some(0)),
        ] {
            let wait = retry_after(&headers, now).map(|wait| wait.as_millis());
            assert_eq!(wait, expected, "{headers:?}");
        }
    }

    #[test]
    fn dates_count_from_the_answers_own_and_from_the_clock_where_it_has_none() {
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let until = || (RETRY_AFTER, "Sun, 06 Nov 1994 08:50:37 GMT");
        for (headers, expected) in [
            (headers(&[until()]), 60),
            (headers(&[until(), (DATE, "Sun, 06 Nov 1994 08:50:27 GMT")]), 10),
            (headers(&[until(), (DATE, "Sun, 06 Nov 1994 09:00:00 GMT")]), 0),
            (headers(&[until(), (DATE, "yesterday")]), 60),
        ] {
            assert_eq!(retry_after(&headers, received), Some(Duration::from_secs(expected)), "{headers:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_server_asks_for_is_a_wait_of_at_most_a_day(
            value in "[0-9]{0,25}|[0-9]{1,20}\\.[0-9]{1,5}|[ -~]{0,32}|(Sun|Mon), [0-9]{2} Nov [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
            name in prop::sample::select(vec![RETRY_AFTER, RETRY_AFTER_MS]),
            received in 0..4_000_000_000_u64,
        ) {
            let received = SystemTime::UNIX_EPOCH + Duration::from_secs(received);
            let wait = retry_after(&headers(&[(name, &value)]), received);
            prop_assert!(wait.is_none_or(|wait| wait <= MAX_WAIT));
        }

        #[test]
        fn whole_seconds_and_milliseconds_are_exact(amount in 0..86_400_u32, received in 0..4_000_000_000_u64) {
            let received = SystemTime::UNIX_EPOCH + Duration::from_secs(received);
            let text = amount.to_string();
            let wait = |name| retry_after(&headers(&[(name, &text)]), received);
            prop_assert_eq!(wait(RETRY_AFTER), Some(Duration::from_secs(amount.into())));
            prop_assert_eq!(wait(RETRY_AFTER_MS), Some(Duration::from_millis(amount.into())));
        }
    }
}
