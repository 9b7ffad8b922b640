//! When a line was written: RFC 3339 in UTC, to the microsecond, as `tracing-subscriber` writes it.
//!
//! Lines of one second share everything but its fraction, and so each thread keeps that: to work out the date again for each line took
//! 1,900 instructions.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The last second a line was written in.
struct Second {
    since_epoch: u64,
    /// `2026-11-22T14:00:00.`
    text: String,
}

thread_local! {
    static LAST: RefCell<Second> = const { RefCell::new(Second { since_epoch: u64::MAX, text: String::new() }) };
}

/// Puts the time that it is. A clock before 1970 shows as the beginning of 1970.
#[expect(clippy::disallowed_methods, reason = "a line says when it was written, whatever time a test has")]
pub(crate) fn put_now(line: &mut String) {
    put(line, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
}

fn put(line: &mut String, since_epoch: Duration) {
    let second = since_epoch.as_secs();
    let shared = LAST.try_with(|last| {
        let mut last = last.borrow_mut();
        if last.since_epoch != second {
            *last = Second::of(second);
        }
        line.push_str(&last.text);
    });
    if shared.is_err() {
        // A thread that is at its end keeps nothing any more.
        line.push_str(&Second::of(second).text);
    }
    // With a digit before them that is left out, all six have their place.
    let fraction = 1_000_000 + since_epoch.subsec_micros();
    line.push_str(itoa::Buffer::new().format(fraction).get(1..).unwrap_or_default());
    line.push('Z');
}

impl Second {
    /// A year beyond 9999 has no place in a timestamp; it shows as the last second of that.
    fn of(since_epoch: u64) -> Self {
        let second = i64::try_from(since_epoch).ok().and_then(|second| Timestamp::from_second(second).ok());
        Self { since_epoch, text: second.unwrap_or(Timestamp::MAX).strftime("%FT%T.").to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_shared_and_left() {
        for (since_epoch, expected) in [
            (Duration::ZERO, "1970-01-01T00:00:00.000000Z"),
            (Duration::new(1_795_356_000, 123_456_999), "2026-11-22T14:00:00.123456Z"),
            (Duration::new(1_795_356_000, 999_999_999), "2026-11-22T14:00:00.999999Z"),
            (Duration::new(1_795_356_001, 1_000), "2026-11-22T14:00:01.000001Z"),
            (Duration::new(1_795_356_001, 0), "2026-11-22T14:00:01.000000Z"),
            // A clock that was put back.
            (Duration::new(951_782_400, 0), "2000-02-29T00:00:00.000000Z"),
            (Duration::MAX, "9999-12-30T22:00:00.999999Z"),
        ] {
            let mut line = String::new();
            put(&mut line, since_epoch);
            assert_eq!(line, expected);
        }
    }
}
