//! From the start of a process to its first good answer.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use super::driven::Values;
use super::{Bound, Case, aim, column, must};
use crate::bench::{Bench, Stage, tell};
use crate::exchange::{Ask, Kind};
use crate::load::once;
use crate::machine::Cores;
use crate::peer::{self, Command, Deployment, Peer, Population};
use crate::process::{PATIENCE, pause};
use crate::rows::{Row, Rows};

const STARTS: usize = 11;
const QUICK_STARTS: usize = 3;
/// Short beside what is measured, and long enough not to keep the starting process from a core.
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);
const FIRST_ANSWER: &str = "first answer ms";

pub(super) const START: Case = Case {
    name: "start",
    title: "start to the first answered call, the gateway with its SQLite store",
    columns: &[column(FIRST_ANSWER, 1)],
    goals: &[must(FIRST_ANSWER, Bound::AtMost(60.0)), aim(FIRST_ANSWER, Bound::AtMost(20.0))],
    upstream: None,
    run,
};

fn run(case: &Case, bench: &Bench, rows: &mut Rows) -> Result<()> {
    let stage = bench.stage(Cores::default())?;
    let programs = bench.peers.iter().filter(|peer| matches!(peer, Peer::Nginx | Peer::Haproxy | Peer::Gateway));
    let starters = programs.map(|peer| Starter::new(&stage, *peer)).collect::<Result<Vec<_>>>()?;
    let starts = if bench.is_quick { QUICK_STARTS } else { STARTS.max(bench.rounds) };
    for round in 0..starts {
        for starter in &starters {
            tell(case.name, round, starts, starter.peer.name());
            let took = starter.start()?;
            let values = Values::from([(FIRST_ANSWER, took.as_secs_f64() * 1e3)]);
            let who = starter.peer.name().to_owned();
            rows.0.push(Row { case: case.name, who, round, values, outcome: None });
        }
    }
    Ok(())
}

/// A program that is started again and again in the same folder.
struct Starter {
    peer: Peer,
    folder: std::path::PathBuf,
    command: Command,
    ask: Ask,
}

impl Starter {
    /// Prepares it, with one start that does not count: the first one makes the tables of the store.
    fn new(stage: &Stage<'_>, peer: Peer) -> Result<Self> {
        let folder = stage.bench.folder()?;
        let command = peer::command(peer, &stage.bench.programs, &folder, stage.upstream, &Deployment::ORDINARY)?;
        let Some(command) = command else { bail!("{} is no program of its own", peer.name()) };
        let ask = Population::Ordinary.asks(Kind::Plain).swap_remove(0);
        let starter = Self { peer, folder, command, ask };
        starter.start()?;
        Ok(starter)
    }

    fn start(&self) -> Result<Duration> {
        let began = Instant::now();
        let mut process = self.command.start_at_once(&self.folder)?;
        loop {
            if once::is_answered(self.command.address, &self.ask, self.peer == Peer::Gateway)? {
                return Ok(began.elapsed());
            }
            process.check()?;
            pause(BETWEEN_LOOKS);
            if began.elapsed() > PATIENCE {
                bail!("{} does not answer", self.peer.name());
            }
        }
    }
}
