//! What is edited, and when.

use std::fs;
use std::time::Duration;

use gateway_testing::GatewayProcess;
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::file::File;

/// How long it is from one edit to the next: long enough that most calls between them have nothing to do with either.
const GAP: Duration = Duration::from_secs(1);

/// How often it is looked whether an edit has come into force.
const LOOK: Duration = Duration::from_millis(1);

/// How long that may take at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much an edit changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One provider.
    One,
    /// All of them.
    All,
}

/// An edit of the file, numbered from one in its extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) extent: Extent,
    pub(crate) number: u32,
}

/// An edit that was made. Times are since the drill began.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) extent: Extent,
    /// When the new file was in its place.
    pub(crate) written: Duration,
    /// When the gateway had said that calls are served by it.
    pub(crate) in_force: Duration,
    /// How long the gateway worked at it, by its own account.
    pub(crate) took: Duration,
}

/// The course of the drill.
#[derive(Debug)]
pub(crate) struct Course {
    /// How many edits there are of each extent.
    pub(crate) edits: u32,
    /// How long the file is left alone at each end.
    pub(crate) quiet: Duration,
}

impl Course {
    /// Edits the file, and sees each edit come into force.
    pub(crate) async fn make(&self, gateway: &GatewayProcess, file: &File, began: Instant) -> Vec<Made> {
        let edits = [Extent::One, Extent::All].into_iter().flat_map(|extent| {
            let numbers = 1..=self.edits;
            numbers.map(move |number| Edit { extent, number })
        });
        // Writing them takes time that is not the gateway's.
        let texts: Vec<_> = edits.map(|edit| (edit.extent, file.text(Some(&edit)))).collect();
        let mut made = Vec::new();
        let mut due = self.quiet;
        for (extent, text) in texts {
            sleep_until(began + due).await;
            drop(gateway.log_lines());
            made.push(edit(gateway, extent, &text, began).await);
            // Where the machine is too slow for the gap, it is longer.
            due = began.elapsed().max(due + GAP);
        }
        sleep(self.quiet).await;
        made
    }
}

/// Puts another file in the place of the one that is there, as editors and deployments do.
async fn edit(gateway: &GatewayProcess, extent: Extent, text: &str, began: Instant) -> Made {
    let folder = gateway.directory();
    fs::write(folder.join("next.yaml"), text).expect("the file is written");
    fs::rename(folder.join("next.yaml"), folder.join("config.yaml")).expect("the file is put in its place");
    let written = began.elapsed();
    loop {
        let lines = gateway.log_lines();
        if let Some(took) = lines.iter().find_map(|line| took(line)) {
            return Made { extent, written, in_force: began.elapsed(), took };
        }
        let waited = began.elapsed().saturating_sub(written);
        assert!(waited < PATIENCE, "an edit did not come into force: {}", lines.join("\n"));
        sleep(LOOK).await;
    }
}

/// How long a reload took, if the line tells of one.
fn took(line: &str) -> Option<Duration> {
    let line: Value = serde_json::from_str(line).ok()?;
    let is_reload = line["message"] == "another configuration is in force";
    is_reload.then(|| line["took_ms"].as_f64().map(|took| Duration::from_secs_f64(took / 1000.0)))?
}
