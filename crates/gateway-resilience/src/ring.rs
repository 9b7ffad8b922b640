//! The last ten periods.
//!
//! A window that slides with every event would have to remember every event. One that slides by a tenth of its length
//! remembers ten values, and covers between nine tenths and the whole of its length.

/// How many periods make a window.
pub(crate) const PERIODS: usize = 10;

/// One value for each of the last ten periods, the latest first.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    latest: u64,
    values: [T; PERIODS],
}

impl<T: Copy + Default> Ring<T> {
    /// Moves on to a period, and says which is now the latest: never an earlier one than it was.
    pub(crate) fn advance(&mut self, period: u64) -> u64 {
        let passed = usize::try_from(period.saturating_sub(self.latest)).unwrap_or(usize::MAX).min(self.values.len());
        self.values.rotate_right(passed);
        self.values[..passed].fill(T::default());
        self.latest = self.latest.max(period);
        self.latest
    }

    /// The value of the latest period.
    pub(crate) fn latest(&mut self) -> &mut T {
        &mut self.values[0]
    }

    /// All values, the latest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        self.values.iter().copied()
    }
}

impl<T: Copy + Default> Default for Ring<T> {
    fn default() -> Self {
        Self { latest: 0, values: [T::default(); PERIODS] }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_window_holds_the_last_ten_periods(
            events in prop::collection::vec(prop_oneof![0_u64..40, Just(u64::MAX)], 1..100),
        ) {
            let mut ring = Ring::<u32>::default();
            let mut counted: Vec<u64> = Vec::new();
            for period in events {
                let latest = ring.advance(period);
                *ring.latest() += 1;
                counted.push(period.max(counted.last().copied().unwrap_or(0)));
                prop_assert_eq!(Some(&latest), counted.last());
                let expected = counted.iter().filter(|it| latest - **it < PERIODS as u64).count();
                prop_assert_eq!(ring.iter().sum::<u32>() as usize, expected);
            }
        }
    }
}
