//! Durations and sizes as people write them.
//!
//! A number without a unit is refused rather than guessed at: half of the gateways read it as seconds, the other half
//! as milliseconds.

use std::time::Duration;

use thiserror::Error;

/// The longest duration accepted, far beyond any use and far from overflowing a clock.
const MAX_DURATION: Duration = Duration::from_hours(10 * 366 * 24);

/// Milliseconds in each unit.
const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Bytes in each unit: binary with an `i`, decimal without (IEC 80000-13).
const SIZE_UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// Why a text is not a quantity.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
pub(crate) enum UnitError {
    #[error("a number needs a unit; {advice}")]
    NoUnit { advice: &'static str },
    #[error("{advice}")]
    NotAQuantity { advice: &'static str },
    #[error("the value is too large")]
    TooLarge,
}

/// Reads `500ms`, `2s`, `5m`, `1h` or `10d`.
pub(crate) fn duration(text: &str) -> Result<Duration, UnitError> {
    let milliseconds = quantity(text, &DURATION_UNITS, "write a duration such as 500ms, 2s, 5m or 1h")?;
    bounded(Duration::from_millis(milliseconds))
}

/// Keeps a duration within what clocks can add.
pub(crate) fn bounded(duration: Duration) -> Result<Duration, UnitError> {
    if duration > MAX_DURATION { Err(UnitError::TooLarge) } else { Ok(duration) }
}

/// Reads `32MiB`, `64KiB` or `1GB`, in bytes.
pub(crate) fn size(text: &str) -> Result<u64, UnitError> {
    quantity(text, &SIZE_UNITS, "write a size such as 64KiB, 32MiB or 1GB")
}

/// A duration as [`duration`] reads it: in seconds if it is so many, else in milliseconds.
pub(crate) fn shown_duration(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        return format!("{}s", duration.as_secs());
    }
    format!("{}ms", duration.as_millis())
}

/// A size as [`size`] reads it, in the largest binary unit of which it is so many.
pub(crate) fn shown_size(bytes: u64) -> String {
    let binary = SIZE_UNITS.iter().filter(|(_, scale)| scale.is_power_of_two());
    let unit = binary.rev().find(|(_, scale)| bytes >= *scale && bytes.is_multiple_of(*scale));
    let (name, scale) = unit.unwrap_or(&SIZE_UNITS[0]);
    format!("{}{name}", bytes / scale)
}

fn quantity(text: &str, units: &[(&str, u64)], advice: &'static str) -> Result<u64, UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::NotAQuantity { advice });
    }
    if unit.is_empty() {
        return Err(UnitError::NoUnit { advice });
    }
    let unit = unit.trim_start();
    let (_, scale) = units.iter().find(|(name, _)| *name == unit).ok_or(UnitError::NotAQuantity { advice })?;
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(*scale)).ok_or(UnitError::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_need_a_known_unit() {
        for (text, milliseconds) in [
            ("500ms", Some(500)),
            ("2s", Some(2_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("10d", Some(864_000_000)),
            ("0s", Some(0)),
            ("2 s", Some(2_000)),
            ("2", None),
            ("2S", None),
            ("s", None),
            ("-2s", None),
            ("1.5s", None),
            ("1m30s", None),
            ("", None),
            ("18446744073709551615d", None),
            ("99999999d", None),
        ] {
            assert_eq!(duration(text).ok(), milliseconds.map(Duration::from_millis), "{text:?}");
        }
        for (text, bytes) in [
            ("32MiB", Some(32 << 20)),
            ("64KiB", Some(64 << 10)),
            ("1GB", Some(1_000_000_000)),
            ("1", None),
            ("1mb", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(milliseconds in 0..1_000_000_000_u64, exponent in 0..40_u32, bytes in 0..5_000_u64) {
            let length = Duration::from_millis(milliseconds);
            prop_assert_eq!(duration(&shown_duration(length)), Ok(length));
            let bytes = bytes << exponent;
            prop_assert_eq!(size(&shown_size(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn quantities_are_shown_as_people_write_them() {
        let shown = [500, 5_000, 0, 1_500].map(|milliseconds| shown_duration(Duration::from_millis(milliseconds)));
        assert_eq!(shown, ["500ms", "5s", "0s", "1500ms"]);
        assert_eq!(
            [32 << 20, 1 << 30, 1_000_000_000, 1_536, 0].map(shown_size),
            ["32MiB", "1GiB", "1000000000B", "1536B", "0B"]
        );
    }

    #[test]
    fn a_bare_number_gets_advice() {
        assert!(matches!(duration("30"), Err(UnitError::NoUnit { .. })));
    }
}
