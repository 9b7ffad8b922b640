//! What one connection is doing, shared by the four that see a part of it: the guard sees heads arrive, the service sees
//! calls begin and end, the meter sees what the socket takes, the supervisor decides by all of it. Atomics, because
//! HTTP/2 runs calls in tasks of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// In place of a time: the socket took everything that was written.
const NEVER: u64 = u64::MAX;

/// How far the bytes of the connection are, as its guard sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// No byte of a first head has arrived.
    Fresh,
    /// A part of a head has arrived.
    MidHead,
    /// A body is arriving, or nothing is.
    PastHead,
    /// The connection is HTTP/2, and what arrives are frames.
    Multiplexed,
    /// Our side is closed; the peer's last bytes are read so that it gets to see our answer.
    Lingering,
}

/// What a connection is doing, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stance {
    /// Something is to be written, and the peer last took a part of it, or was offered it. Calls may run; what they
    /// answer is not even asked for.
    Blocked(Instant),
    /// At least one call runs, and all that there is of its answer was taken.
    Busy,
    /// Nothing has arrived since the connection began.
    Fresh(Instant),
    /// A head began to arrive, or the call before it ended.
    MidHead(Instant),
    /// The last call ended.
    Idle(Instant),
    /// Our side was closed.
    Lingering(Instant),
}

/// The shared record.
#[derive(Debug)]
pub(crate) struct Activity {
    began: Instant,
    calls: AtomicUsize,
    phase: AtomicU8,
    /// Microseconds from `began` to when the socket took no more, though something was left to write; [`NEVER`] if it
    /// took all of it. Apart from `changed`, so that nothing a peer sends makes up for what it does not read.
    blocked: AtomicU64,
    /// Microseconds from `began` to the last change of phase, progress of a blocked write or end of a call.
    changed: AtomicU64,
    /// Whether the connection takes no further call.
    is_draining: AtomicBool,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            calls: AtomicUsize::new(0),
            phase: AtomicU8::new(Phase::Fresh as u8),
            blocked: AtomicU64::new(NEVER),
            changed: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.touch();
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Notes that every HTTP/1 answer from now on is the last one of the connection.
    pub(crate) fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether calls share the connection, so that each can be told apart from its end.
    pub(crate) fn is_multiplexed(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == Phase::Multiplexed as u8
    }

    /// Notes that the socket takes no more for now; again whenever it took a part and then no more.
    pub(crate) fn block(&self) {
        self.blocked.store(self.touch(), Ordering::Relaxed);
    }

    /// Notes that the socket took what was left.
    pub(crate) fn unblock(&self) {
        self.touch();
        self.blocked.store(NEVER, Ordering::Relaxed);
    }

    /// Whether an answer is on its way: closing the connection would lose a part of it.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_calling() || self.blocked_since().is_some()
    }

    fn blocked_since(&self) -> Option<Instant> {
        let blocked = self.blocked.load(Ordering::Relaxed);
        (blocked != NEVER).then(|| self.began + Duration::from_micros(blocked))
    }

    fn is_calling(&self) -> bool {
        self.calls.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn stance(&self) -> Stance {
        let phase = self.phase.load(Ordering::Relaxed);
        let since = self.began + Duration::from_micros(self.changed.load(Ordering::Relaxed));
        if phase == Phase::Lingering as u8 {
            Stance::Lingering(since)
        } else if let Some(blocked) = self.blocked_since() {
            Stance::Blocked(blocked)
        } else if self.is_calling() {
            Stance::Busy
        } else if phase == Phase::Fresh as u8 {
            Stance::Fresh(since)
        } else if phase == Phase::MidHead as u8 {
            Stance::MidHead(since)
        } else {
            Stance::Idle(since)
        }
    }

    fn touch(&self) -> u64 {
        let elapsed = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(NEVER - 1);
        self.changed.store(elapsed, Ordering::Relaxed);
        elapsed
    }
}

/// One running call: from the service's call until its answer's body is gone.
#[derive(Debug)]
pub(crate) struct RunningCall(Arc<Activity>);

impl RunningCall {
    pub(crate) fn begin(activity: &Arc<Activity>) -> Self {
        activity.calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }

    /// Whether an answer that begins now must announce that the connection ends with it.
    pub(crate) fn is_last(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed) && !self.0.is_multiplexed()
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.touch();
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
