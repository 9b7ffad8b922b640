//! The beginning of the end: one moment, known to every connection, from which all bounds of the drain count.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long a new connection may stay silent at least once draining began. Its first request is most likely on the way:
/// clients connect when they have one.
pub(crate) const FRESH_GRACE: Duration = Duration::from_millis(250);

/// How long connections may go on once draining began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrainLimits {
    /// All of them.
    pub(crate) timeout: Duration,
    /// One without a call.
    pub(crate) idle_grace: Duration,
}

impl DrainLimits {
    /// How long one may go on that has not sent anything yet.
    pub(crate) fn fresh_grace(self) -> Duration {
        FRESH_GRACE.max(self.idle_grace)
    }
}

/// Whether draining began, and when.
#[derive(Debug, Clone)]
pub(crate) struct Drain {
    began: Arc<OnceLock<Instant>>,
    signal: CancellationToken,
}

impl Drain {
    pub(crate) fn new() -> Self {
        Self { began: Arc::new(OnceLock::new()), signal: CancellationToken::new() }
    }

    /// Begins it; again changes nothing.
    pub(crate) fn begin(&self) {
        self.began.get_or_init(Instant::now);
        self.signal.cancel();
    }

    /// The same drain for one connection, with a list of waiters of its own.
    pub(crate) fn for_connection(&self) -> Self {
        Self { began: Arc::clone(&self.began), signal: self.signal.child_token() }
    }

    pub(crate) fn began(&self) -> Option<Instant> {
        self.began.get().copied()
    }

    /// Resolves when it begins.
    pub(crate) fn signal(&self) -> WaitForCancellationFutureOwned {
        self.signal.clone().cancelled_owned()
    }

    /// Resolves when a connection that is still nothing but a connection is out of time.
    pub(crate) async fn leaves_no_time(&self, limits: DrainLimits) {
        let accepted = Instant::now();
        self.signal.cancelled().await;
        // The moment is set before the signal is given.
        let began = self.began().unwrap_or(accepted);
        sleep_until((began.max(accepted) + limits.fresh_grace()).min(began + limits.timeout)).await;
    }
}
