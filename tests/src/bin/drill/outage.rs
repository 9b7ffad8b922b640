//! What happens to the first upstream, and when.

use std::time::Duration;

/// What an upstream does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers them.
    Well,
    /// Resets the connection or answers 500, in turns.
    Failing,
    /// Answers them when the gateway has stopped waiting.
    Slow,
}

/// A part of the drill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// What the first upstream does in it; the second is always well.
    pub(crate) behaviour: Behaviour,
    /// Since the drill began.
    pub(crate) begins: Duration,
    /// Since the drill began.
    pub(crate) ends: Duration,
}

impl Phase {
    /// How long it is.
    pub(crate) fn length(&self) -> Duration {
        self.ends.saturating_sub(self.begins)
    }

    /// Whether something that happened at this time since the drill began was in it.
    pub(crate) fn contains(&self, at: Duration) -> bool {
        (self.begins..self.ends).contains(&at)
    }
}

/// The name and behaviour of each phase, and when it ends, in sixtieths of the drill.
const PHASES: [(&str, Behaviour, u32); 4] = [
    ("a is well", Behaviour::Well, 10),
    ("a fails", Behaviour::Failing, 25),
    ("a is slow", Behaviour::Slow, 40),
    ("a is back", Behaviour::Well, 60),
];

/// The course of the drill.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) phases: [Phase; 4],
}

impl Outage {
    /// A drill of this length in all.
    pub(crate) fn lasting(length: Duration) -> Self {
        let mut begins = Duration::ZERO;
        let phases = PHASES.map(|(name, behaviour, sixtieths)| {
            let ends = length * sixtieths / 60;
            Phase { name, behaviour, begins: std::mem::replace(&mut begins, ends), ends }
        });
        Self { phases }
    }

    /// The length of all phases.
    pub(crate) fn lasts(&self) -> Duration {
        self.back().ends
    }

    /// The phase before anything happens.
    pub(crate) fn before(&self) -> Phase {
        self.phases[0]
    }

    /// The phase behind the outage.
    pub(crate) fn back(&self) -> Phase {
        self.phases[3]
    }

    /// What the first upstream does at this time since the drill began.
    pub(crate) fn behaviour(&self, at: Duration) -> Behaviour {
        let phase = self.phases.iter().find(|phase| phase.contains(at));
        phase.map_or(Behaviour::Well, |phase| phase.behaviour)
    }
}
