//! The second part: valid and invalid edits by turns, under streams.

use std::fmt;
use std::time::Duration;

use gateway_tests::edited::Scene;
use gateway_tests::storm::{STREAMS, Storm};

/// Within what time all but one in a hundred valid edits have to be in force.
const PROMPT: Duration = Duration::from_millis(500);

/// What came of it.
#[derive(Debug)]
pub(crate) struct Edited(Storm);

impl Edited {
    /// Edits the file of another gateway so often. Panics if a stream is not whole, or if an edit is not what it is to be.
    pub(crate) async fn under_streams(edits: u32) -> Self {
        let scene = Scene::new().await;
        Self(Storm::rage(&scene, edits as usize, 0).await)
    }

    /// What is worse than it may be.
    pub(crate) fn missed_bound(&self) -> Option<String> {
        let most = self.0.within(99);
        let is_missed = most > PROMPT;
        is_missed.then(|| {
            format!("the p99 of valid edits under streams was in force after {most:?}; {PROMPT:?} are allowed")
        })
    }
}

impl fmt::Display for Edited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [50, 99, 100].map(|percent| self.0.within(percent).as_secs_f64() * 1000.0);
        let name = format!("edits under {STREAMS} streams");
        writeln!(
            f,
            "|                              |        |   edit to force, ms     |\n\
             | valid ones                   |  count |   p50 |   p99 |     max |\n\
             |------------------------------|-------:|------:|------:|--------:|\n\
             | {name:<28} | {:>6} | {half:>5.1} | {most:>5.1} | {all:>7.1} |\n\
             {} streams came whole",
            self.0.edits(),
            self.0.streams
        )
    }
}
