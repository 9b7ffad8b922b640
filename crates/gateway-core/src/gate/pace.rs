//! How fast a line moves.

use std::time::Duration;

use tokio::time::Instant;

/// After this long a departure weighs a third of a fresh one. Long enough to see several rounds of answers that leave
/// together, short enough to follow an upstream that gets slower.
const MEMORY: Duration = Duration::from_secs(1);

/// How often somebody leaves while the place is full. What happens while there is room says nothing about that.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the place became full, or somebody left since.
    since: Option<Instant>,
    /// Departures while it was full, and how long that was, in seconds; the further back, the less either counts.
    departures: f64,
    elapsed: f64,
}

impl From<Instant> for Pace {
    /// The pace of a line that begins now.
    fn from(now: Instant) -> Self {
        Self { since: Some(now), ..Self::default() }
    }
}

impl Pace {
    /// The place is full from now on.
    pub(super) fn filled(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Somebody has left a place that was full.
    pub(super) fn left(&mut self, now: Instant) {
        let Some(since) = self.since.replace(now) else { return };
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        let weight = (-seconds / MEMORY.as_secs_f64()).exp();
        self.departures = self.departures * weight + 1.0;
        self.elapsed = self.elapsed * weight + seconds;
    }

    /// How long it takes until so many have left, and at least as long as nobody has by now; zero if nothing is known.
    pub(super) fn wait(&self, departures: usize, now: Instant) -> Duration {
        let stalled = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if self.departures == 0.0 {
            return stalled;
        }
        let seconds = self.elapsed / self.departures * f64::from(u32::try_from(departures).unwrap_or(u32::MAX));
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(stalled)
    }
}
