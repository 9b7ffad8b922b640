//! Who calls how often, and when.

use std::time::Duration;

/// How much of what can be served is asked for when all is well.
const CALM: f64 = 0.9;

/// The same of the overload.
const OVERLOAD: f64 = 3.0;

/// How much of what can be served each of the quiet keys asks for at all times. With one more key, the flood, a fair part is
/// a quarter: they never ask for theirs.
const QUIET: f64 = 0.2;

/// A caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What it presents.
    pub(crate) secret: &'static str,
    /// Whether it asks for whatever the others do not.
    pub(crate) floods: bool,
}

const fn quiet(name: &'static str, secret: &'static str) -> Key {
    Key { name, secret, floods: false }
}

/// All callers.
pub(crate) const KEYS: [Key; 4] = [
    quiet("quiet-1", "sk-quiet-1-a41f7c02be95"),
    quiet("quiet-2", "sk-quiet-2-0d63e8f1a7b4"),
    quiet("quiet-3", "sk-quiet-3-97c2b5d0e318"),
    Key { name: "flood", secret: "sk-flood-52e9a0c7f16d", floods: true },
];

/// A part of the drill; times are since it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// How much of what can be served is asked for.
    pub(crate) load: f64,
    pub(crate) begins: Duration,
    pub(crate) ends: Duration,
}

impl Phase {
    /// How long it is, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.ends.saturating_sub(self.begins).as_secs_f64()
    }

    /// Whether something that happened at this time was in it.
    pub(crate) fn contains(&self, at: Duration) -> bool {
        (self.begins..self.ends).contains(&at)
    }

    /// The phase without its first part, in which what was before it may still have an effect.
    pub(crate) fn without_first(self, part: Duration) -> Self {
        Self { begins: (self.begins + part).min(self.ends), ..self }
    }
}

/// The course of the drill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) before: Phase,
    pub(crate) overload: Phase,
    pub(crate) after: Phase,
    /// Calls a second that can be served.
    pub(crate) capacity: f64,
    /// How long each takes.
    pub(crate) latency: Duration,
}

impl Course {
    /// An overload of this length, of so many places at an upstream that takes so long.
    pub(crate) fn new(overload: Duration, in_flight: u32, latency: Duration) -> Self {
        let (begins, ends) = (overload / 4, overload * 5 / 4);
        Self {
            before: Phase { name: "before", load: CALM, begins: Duration::ZERO, ends: begins },
            overload: Phase { name: "overload", load: OVERLOAD, begins, ends },
            after: Phase { name: "after", load: CALM, begins: ends, ends: ends + overload / 4 },
            capacity: f64::from(in_flight) / latency.as_secs_f64(),
            latency,
        }
    }

    pub(crate) fn phases(&self) -> [Phase; 3] {
        [self.before, self.overload, self.after]
    }

    /// How long all of it is.
    pub(crate) fn lasts(&self) -> Duration {
        self.after.ends
    }

    /// How long it is from one call of a key to the next in a phase.
    pub(crate) fn gap(&self, key: &Key, phase: &Phase) -> Duration {
        let quiet = KEYS.iter().filter(|key| !key.floods).map(|_| QUIET).sum::<f64>();
        let load = if key.floods { phase.load - quiet } else { QUIET };
        Duration::from_secs_f64(1.0 / (load * self.capacity))
    }
}
