//! The load: so many connections that make calls one after another, and a look at every byte of every answer.
//!
//! It runs in a process of its own, on one thread. What it is to do comes as one JSON object on its input, what came of it leaves as one
//! on its output. It reads the processor time of the measured processes itself, when all its connections are silent: before the
//! first measured call and behind the last one. So every call that was paid for is counted, and no other.

mod answer;
mod chunked;
mod connection;
mod driver;
mod expected;
pub(crate) mod once;
mod watch;

use std::io;
use std::net::SocketAddr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::exchange::{Ask, Kind, Size};
use crate::{process, serving};

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    /// What is asked for, in turn.
    pub(crate) asks: Vec<Ask>,
    pub(crate) kind: Kind,
    pub(crate) size: Size,
    /// Whether answers name the caller's model and who served, or are the upstream's own.
    pub(crate) is_rewritten: bool,
    pub(crate) connections: usize,
    /// How long after one connection the next begins, in each phase.
    pub(crate) stagger_us: u64,
    /// How long all connections make calls before it counts, one each at least; `None` is not at all.
    pub(crate) warm_seconds: Option<f64>,
    /// How long calls are begun that count, one on each connection at least.
    pub(crate) seconds: f64,
    /// The process that is measured, with its children; nobody when the upstream is called directly.
    pub(crate) watched: Option<u32>,
    /// Whether its memory is looked at while calls run, and not only its time.
    pub(crate) is_memory_watched: bool,
}

impl Plan {
    /// Has a process of its own do it, on these cores.
    pub(crate) fn carry_out(&self, cores: &[usize]) -> Result<Outcome> {
        let outcome = process::ask(cores, "load", &serde_json::to_vec(self)?)?;
        Ok(serde_json::from_slice(&outcome)?)
    }
}

/// What came of it. Times are in microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) calls: u64,
    /// Answers that were not what they should be, and connections that failed. Those of the warm-up count as well.
    pub(crate) errors: u64,
    /// What the first of them were.
    pub(crate) first_errors: Vec<String>,
    /// From the first call to the last answer.
    pub(crate) seconds: f64,
    /// Of the watched processes.
    pub(crate) cpu_seconds: f64,
    /// From the first byte of a request to the last of its answer.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// From the first byte of a request to the first of the answer's body, the median.
    pub(crate) first_p50: f64,
    /// Resident bytes of the watched processes before all connections but one were opened.
    pub(crate) resident_before: u64,
    /// The median while at least 95 % of the connections had a call that was not answered to its end.
    pub(crate) resident_middle: Option<u64>,
    /// The largest at any time.
    pub(crate) resident_peak: u64,
    /// How many connections were inside an answer at once, at most.
    pub(crate) most_open: usize,
}

/// Reads a plan, carries it out, and writes what came of it.
pub(crate) fn run() -> Result<()> {
    let plan: Plan = serde_json::from_reader(io::stdin().lock())?;
    let outcome = serving::run(driver::drive(plan))?;
    serde_json::to_writer(io::stdout().lock(), &outcome)?;
    Ok(())
}
