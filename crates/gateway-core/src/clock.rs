//! The time by the calendar. Everything else goes by the runtime's clock, which never jumps.

use gateway_ratelimit::Moment;
use jiff::Timestamp;
use tokio::time::Instant;

/// The time by the calendar, which budgets and expiries go by.
pub(crate) fn wall_clock() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "only the wall clock knows the calendar")]
    let now = std::time::SystemTime::now();
    Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The time by both clocks.
pub(crate) fn moment() -> Moment {
    Moment { now: Instant::now().into_std(), wall: wall_clock() }
}
