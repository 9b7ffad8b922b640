//! Leave to use a target, which everything that needs it carries.

use gateway_call::Outcome;
use gateway_resilience::Pass;
use tokio::time::Instant;

/// Which targets may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Those that their breaker lets through.
    Healthy,
    /// Those that it does not, as far as they may be probed at all.
    LastResort,
}

/// Leave to send one request to a target with one of its provider's credentials.
///
/// The target counts it as in flight for as long as it lives. Dropped without a verdict it was cancelled, and says
/// nothing about the target.
#[derive(Debug)]
pub(crate) struct Admission {
    pass: Pass,
    pub(super) credential: usize,
}

impl Admission {
    pub(super) fn new(pass: Pass, credential: usize) -> Self {
        Self { pass, credential }
    }

    /// The upstream has shown content after all of the attempt that began at `began`.
    pub(super) fn first_content(&mut self, began: Instant) {
        let now = Instant::now();
        self.pass.first_content(now.saturating_duration_since(began), now.into_std());
    }

    /// Tells the target what came of it.
    pub(crate) fn finish(self, outcome: Outcome) {
        self.pass.finish(self.credential, outcome, Instant::now().into_std());
    }
}
