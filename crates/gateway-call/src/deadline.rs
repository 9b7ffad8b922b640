//! The moment at which a call has to be over.

use std::time::{Duration, Instant};

/// A point in time after which no further work is done for a call.
///
/// A plain value: whoever holds a clock passes `now` in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `timeout` after `start`.
    ///
    /// A timeout too large for the clock to express means thirty years, which no call outlives.
    pub fn after(start: Instant, timeout: Duration) -> Self {
        const THIRTY_YEARS: Duration = Duration::from_hours(30 * 365 * 24);
        let capped = timeout.min(THIRTY_YEARS);
        Self(start.checked_add(capped).unwrap_or(start))
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }
}
