//! The time, which is not read more often than somebody could tell the difference.
//!
//! What a call does between two waits takes microseconds, but it asks for the time 28 times in all, at 25 ns each. So within a
//! turn, one poll of a call or of its answer's body, the clock stands still once it was read, unless it is read anew, which
//! is for those who measure what the gateway itself takes, and for moments that are compared with those of other threads. Outside of
//! turns it is read each time. The lines of the gate, where calls wait
//! for each other, read for themselves.

use std::cell::Cell;

use gateway_ratelimit::Moment;
use jiff::Timestamp;
use tokio::time::Instant;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::OUTSIDE) };
}

/// What has been read of the clocks in the present turn.
#[derive(Debug, Clone, Copy)]
struct Turn {
    is_running: bool,
    now: Option<Instant>,
    wall: Option<Timestamp>,
}

impl Turn {
    const OUTSIDE: Self = Self { is_running: false, now: None, wall: None };
    const BEGIN: Self = Self { is_running: true, ..Self::OUTSIDE };
}

/// Does what is done in one turn, which must not wait for anything.
pub(crate) fn turn<T>(work: impl FnOnce() -> T) -> T {
    struct Leave(Turn);

    impl Drop for Leave {
        fn drop(&mut self) {
            TURN.set(self.0);
        }
    }

    let _leave = Leave(TURN.replace(Turn::BEGIN));
    work()
}

/// The time by the runtime's clock, which never jumps; within a turn, that of the last reading.
pub(crate) fn now() -> Instant {
    TURN.get().now.unwrap_or_else(read)
}

/// The time by the runtime's clock, read now.
pub(crate) fn read() -> Instant {
    let (turn, now) = (TURN.get(), Instant::now());
    if turn.is_running {
        TURN.set(Turn { now: Some(now), ..turn });
    }
    now
}

/// The time by the calendar, which budgets and expiries go by.
pub(crate) fn wall_clock() -> Timestamp {
    let turn = TURN.get();
    turn.wall.unwrap_or_else(|| {
        #[expect(clippy::disallowed_methods, reason = "only the wall clock knows the calendar")]
        let wall = std::time::SystemTime::now();
        let wall = Timestamp::try_from(wall).unwrap_or(Timestamp::UNIX_EPOCH);
        if turn.is_running {
            TURN.set(Turn { wall: Some(wall), ..turn });
        }
        wall
    })
}

/// The time by both clocks. Read anew, because limits are shared with other threads: to one that was kept from running in the middle
/// of its turn, what they have noted meanwhile would lie in the future.
pub(crate) fn moment() -> Moment {
    Moment { now: read().into_std(), wall: wall_clock() }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_stands_still_within_a_turn() {
        let before = now();
        advance(Duration::from_secs(1)).await;
        assert_eq!(now(), before + Duration::from_secs(1), "outside it is read each time");

        let mut later = Box::pin(advance(Duration::from_secs(1)));
        let (first, second) = turn(|| {
            let first = now();
            let _ = later.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            (first, now())
        });
        assert_eq!(first, second);
        later.await;
        assert_eq!(now(), first + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_within_a_turn_reads_for_itself_and_gives_back_what_was_read() {
        let mut later = Box::pin(advance(Duration::from_secs(1)));
        turn(|| {
            let before = now();
            let _ = later.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(turn(now), before + Duration::from_secs(1));
            assert_eq!(now(), before);
            assert_eq!(read(), before + Duration::from_secs(1));
            assert_eq!(now(), before + Duration::from_secs(1), "the turn goes on from there");
        });
        let panicked = std::panic::catch_unwind(|| turn(|| panic!("in the middle of a turn")));
        assert!(panicked.is_err() && !TURN.get().is_running);
    }
}
