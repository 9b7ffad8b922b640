//! How fast a line moves.

use std::time::Duration;

use tokio::time::Instant;

/// After this long a departure weighs a third of a fresh one. Long enough to see several rounds of answers that leave
/// together, short enough to follow an upstream that gets slower.
const MEMORY: Duration = Duration::from_secs(1);

/// How many departures a guess counts for. The first departures of a line come in bunches and say little.
const TRUST: f64 = 2.0;

/// How often somebody leaves while others wait. What happens while there is room says nothing about that.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the wait began, or somebody left since; none while nobody waits.
    since: Option<Instant>,
    /// Departures during waits, and how long those were, in seconds; the further back, the less either counts.
    departures: f64,
    elapsed: f64,
}

impl Pace {
    /// Somebody waits from now on, if nobody did before.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Nobody waits any more.
    pub(super) fn end(&mut self) {
        self.since = None;
    }

    /// Somebody has left for whom others have waited.
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
        seconds(self.elapsed / self.departures * count(departures)).max(stalled)
    }

    /// The same for a line that is a part of another, of which it is known how long that many `departures` would take there if
    /// nobody else came.
    pub(super) fn wait_within(&self, departures: usize, guess: Duration) -> Duration {
        let each = guess.as_secs_f64() / count(departures).max(1.0);
        seconds((self.elapsed + TRUST * each) / (self.departures + TRUST) * count(departures))
    }
}

fn count(departures: usize) -> f64 {
    f64::from(u32::try_from(departures).unwrap_or(u32::MAX))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
