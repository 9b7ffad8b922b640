//! Sums that are not in the store yet, in bounds.

use std::collections::BTreeMap;

use gateway_keystore::{UsageSlot, UsageSums};

use super::others::{MOST_HOURS, Others};

/// The most combinations of hour, key, model and provider that wait, the hours of what has no place of its own included.
pub(super) const MOST_SLOTS: usize = 65_536;

/// Sums that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Pending {
    sums: BTreeMap<UsageSlot, UsageSums>,
    others: Others,
    requests: u64,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds sums. Once there is no place for another combination, its sums are those of `other` in the same hour; what is summed
    /// up over all hours and combinations stays exact for ever.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = (UsageSlot, UsageSums)>) {
        for (slot, more) in rows {
            self.requests = self.requests.saturating_add(more.requests);
            if self.sums.len() < MOST_SLOTS - MOST_HOURS || self.sums.contains_key(&slot) {
                *self.sums.entry(slot).or_default() += more;
            } else {
                self.others.add(slot.hour, more);
            }
        }
    }

    /// Takes the sums of at most so many combinations, the earliest first and what has no place of its own last.
    pub(super) fn take(&mut self, most: usize) -> Vec<(UsageSlot, UsageSums)> {
        let next = || self.sums.pop_first().or_else(|| self.others.pop());
        let taken: Vec<_> = std::iter::from_fn(next).take(most).collect();
        self.requests = self.requests.saturating_sub(requests_of(&taken));
        taken
    }

    /// How many calls it tells of.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    fn len(&self) -> usize {
        self.sums.len() + self.others.len()
    }
}

/// How many calls rows tell of.
pub(super) fn requests_of(rows: &[(UsageSlot, UsageSums)]) -> u64 {
    rows.iter().fold(0, |sum, (_, sums)| sum.saturating_add(sums.requests))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn of(hour: i64, key: &str, requests: u64) -> (UsageSlot, UsageSums) {
        let hour = Timestamp::from_second(hour * 3600).unwrap();
        let slot = UsageSlot { hour, key: key.into(), model: "m".into(), provider: "p".into() };
        let sums = UsageSums { requests, prompt_tokens: requests * 3, ..UsageSums::default() };
        (slot, sums)
    }

    fn total(rows: &[(UsageSlot, UsageSums)]) -> UsageSums {
        rows.iter().fold(UsageSums::default(), |mut total, (_, sums)| {
            total += *sums;
            total
        })
    }

    #[test]
    fn what_has_no_place_of_its_own_is_counted_as_other() {
        let mut pending = Pending::default();
        pending.add((0..MOST_SLOTS - MOST_HOURS).map(|key| of(0, &key.to_string(), 1)));
        pending.add([of(0, "new", 2), of(1, "new", 3), of(1, "newer", 4), of(0, "7", 5)]);
        let all = pending.take(usize::MAX);
        let found = |hour, key: &str| {
            let slot = |slot: &UsageSlot| slot.hour == of(hour, "", 0).0.hour && &*slot.key == key;
            all.iter().find(|(it, _)| slot(it)).map(|(it, sums)| (&*it.model, &*it.provider, sums.requests))
        };
        assert_eq!(found(0, "other"), Some(("other", "other", 2)));
        assert_eq!(found(1, "other"), Some(("other", "other", 7)));
        assert_eq!((found(0, "7"), found(0, "new")), (Some(("m", "p", 6)), None));
        assert!(pending.is_empty());
        pending.add([of(0, "new", 2)]);
        assert_eq!(pending.take(1), [of(0, "new", 2)], "there is room again");
    }

    #[test]
    fn months_without_a_store_take_no_more_room_and_lose_nothing() {
        let mut pending = Pending::default();
        let mut expected = UsageSums::default();
        for hour in 0..100 * 24 {
            let rows: Vec<_> = (0..100).map(|key| of(hour, &key.to_string(), 1 + key % 7)).collect();
            expected += total(&rows);
            pending.add(rows);
            assert!(pending.len() <= MOST_SLOTS, "{} in hour {hour}", pending.len());
        }
        assert_eq!(pending.len(), MOST_SLOTS, "or else no bound is reached");
        assert_eq!(pending.requests(), expected.requests);
        let all = pending.take(usize::MAX);
        assert_eq!((all.len(), total(&all)), (MOST_SLOTS, expected));
    }

    proptest! {
        #[test]
        fn it_knows_how_many_calls_it_tells_of(
            steps in proptest::collection::vec((0..3_i64, 0..3_u8, 1..9_u64, proptest::option::of(0..4_usize)), 0..40),
        ) {
            let mut pending = Pending::default();
            let mut expected = 0;
            for (hour, key, requests, most) in steps {
                pending.add([of(hour, &key.to_string(), requests)]);
                expected += requests;
                if let Some(most) = most {
                    expected -= requests_of(&pending.take(most));
                }
                prop_assert_eq!(pending.requests(), expected);
                prop_assert_eq!(pending.is_empty(), expected == 0);
            }
        }
    }
}
