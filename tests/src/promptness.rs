//! How soon something is seen elsewhere.

use std::time::Duration;

use crate::patience::until;

/// What is promised.
const PROMISED: Duration = Duration::from_secs(1);

/// How long each of several changes took to be seen.
#[derive(Debug)]
pub struct Promptness {
    what: String,
    times: Vec<Duration>,
}

impl Promptness {
    /// Of changes that this is said of.
    pub fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), times: Vec::new() }
    }

    /// Looks until a change is seen, which has just been made.
    pub async fn measure(&mut self, mut is_seen: impl AsyncFnMut() -> bool) {
        let ((), took) = until(&self.what, async || is_seen().await.then_some(())).await;
        self.times.push(took);
    }

    /// Panics unless most of them were seen in time. The rest may be the fault of a machine that had other things to do.
    pub fn assert_kept(mut self) {
        self.times.sort_unstable();
        let (median, worst) = (self.times[self.times.len() / 2], self.times[self.times.len() - 1]);
        println!("{}: {median:?} at the median of {}, {worst:?} at worst", self.what, self.times.len());
        assert!(median <= PROMISED, "{}: {:?}", self.what, self.times);
    }
}
