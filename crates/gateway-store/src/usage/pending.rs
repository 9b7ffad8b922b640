//! Sums that are not in the store yet, in bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_keystore::{UsageSlot, UsageSums};
use jiff::Timestamp;

/// The most combinations of hour, key, model and provider that are kept in one place: some ten megabytes of them.
pub(super) const MOST_SLOTS: usize = 65_536;
/// What key, model and provider of all further ones are called.
const OTHER: &str = "other";
const HOUR: i64 = 60 * 60;

/// Sums that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    sums: BTreeMap<UsageSlot, UsageSums>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Adds sums. Once there is no place for another combination, its sums are those of `other` in the same hour.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = (UsageSlot, UsageSums)>) {
        for (slot, more) in rows {
            let has_place = self.sums.len() < MOST_SLOTS || self.sums.contains_key(&slot);
            let slot = if has_place { slot } else { other(slot.hour) };
            *self.sums.entry(slot).or_default() += more;
        }
    }

    /// Takes the sums of at most so many combinations, the earliest first.
    pub(super) fn take(&mut self, most: usize) -> Vec<(UsageSlot, UsageSums)> {
        std::iter::from_fn(|| self.sums.pop_first()).take(most).collect()
    }

    /// How many calls it tells of.
    pub(super) fn requests(&self) -> u64 {
        self.sums.values().fold(0, |sum, sums| sum.saturating_add(sums.requests))
    }
}

/// When the hour began that a moment lies in, in UTC.
pub(super) fn hour_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    // Only the first hour that a timestamp can name does not begin with one.
    Timestamp::from_second(second - second.rem_euclid(HOUR)).unwrap_or(Timestamp::MIN)
}

/// Where is counted what has no place of its own.
pub(super) fn other(hour: Timestamp) -> UsageSlot {
    let other: Arc<str> = OTHER.into();
    UsageSlot { hour, key: Arc::clone(&other), model: Arc::clone(&other), provider: other }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hour: i64, key: &str, requests: u64) -> (UsageSlot, UsageSums) {
        let slot = UsageSlot { key: key.into(), ..other(Timestamp::from_second(hour * HOUR).unwrap()) };
        (slot, UsageSums { requests, ..UsageSums::default() })
    }

    #[test]
    fn hours_begin_in_utc() {
        for (at, hour) in [
            ("2026-11-22T14:59:59.999999999Z", "2026-11-22T14:00:00Z"),
            ("2026-11-22T14:00:00Z", "2026-11-22T14:00:00Z"),
            ("1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z"),
        ] {
            assert_eq!(hour_of(at.parse().unwrap()), hour.parse().unwrap(), "{at}");
        }
        assert!(hour_of(Timestamp::MIN) <= Timestamp::MIN);
    }

    #[test]
    fn what_has_no_place_of_its_own_is_counted_as_other() {
        let mut pending = Pending::default();
        pending.add((0..MOST_SLOTS).map(|key| of(0, &key.to_string(), 1)));
        pending.add([of(0, "new", 2), of(1, "new", 3), of(1, "newer", 4), of(0, "7", 5)]);
        let most = u64::try_from(MOST_SLOTS).unwrap();
        assert_eq!(pending.requests(), most + 14, "nothing is lost");
        let all = pending.take(usize::MAX);
        let find = |hour, key: &str| all.iter().find(|(slot, _)| *slot == of(hour, key, 0).0).map(|it| it.1.requests);
        assert_eq!(
            (find(0, "other"), find(1, "other"), find(0, "7"), find(0, "new")),
            (Some(2), Some(7), Some(6), None)
        );
        assert!(pending.is_empty());
    }
}
