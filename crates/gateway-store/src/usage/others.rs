//! Sums of what has no place of its own: by the hour, and of so many hours.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_call::Label;
use gateway_keystore::{UsageSlot, UsageSums};
use jiff::Timestamp;

/// The most hours that are told apart: a month.
pub(super) const MOST_HOURS: usize = 31 * 24;

/// What is counted as key, model and provider `other`.
#[derive(Debug, Default)]
pub(super) struct Others(BTreeMap<Timestamp, UsageSums>);

impl Others {
    /// Adds sums to those of an hour. Once there are too many hours, the earliest is counted as part of the one after it.
    pub(super) fn add(&mut self, hour: Timestamp, more: UsageSums) {
        *self.0.entry(hour).or_default() += more;
        if self.0.len() > MOST_HOURS
            && let Some((_, earliest)) = self.0.pop_first()
            && let Some(mut next) = self.0.first_entry()
        {
            *next.get_mut() += earliest;
        }
    }

    /// Takes the sums of the earliest hour.
    pub(super) fn pop(&mut self) -> Option<(UsageSlot, UsageSums)> {
        let (hour, sums) = self.0.pop_first()?;
        let other: Arc<str> = Label::OTHER.into();
        let slot = UsageSlot { hour, key: Arc::clone(&other), model: Arc::clone(&other), provider: other };
        Some((slot, sums))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_beyond_a_month_are_part_of_a_later_one() {
        let hour = |number: i64| Timestamp::from_second(number * 3600).unwrap();
        let of = |requests| UsageSums { requests, ..UsageSums::default() };
        let mut others = Others::default();
        let most = i64::try_from(MOST_HOURS).unwrap();
        for number in 0..most {
            others.add(hour(number), of(1));
        }
        others.add(hour(0), of(1));
        assert_eq!(others.len(), MOST_HOURS, "nothing is merged while there is room");
        others.add(hour(most), of(5));
        assert_eq!(others.len(), MOST_HOURS);
        // Clocks may be set back.
        others.add(hour(-7), of(10));
        assert_eq!(others.len(), MOST_HOURS);
        let all: Vec<_> = std::iter::from_fn(|| others.pop()).map(|(slot, sums)| (slot.hour, sums.requests)).collect();
        assert_eq!((all[0], all[1], all[MOST_HOURS - 1]), ((hour(1), 13), (hour(2), 1), (hour(most), 5)));
    }
}
