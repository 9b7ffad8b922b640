//! The run: who takes part, where, and how long; and the stage on which a case plays.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::load::{Outcome, Plan};
use crate::machine::{Cores, Machine};
use crate::peer::{self, Deployment, Peer, Programs, Running};
use crate::process::{Place, Process};

/// What a run has to work with.
pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) programs: Programs,
    /// Those that take part and are installed.
    pub(crate) peers: Vec<Peer>,
    pub(crate) rounds: usize,
    /// How long one measurement makes calls.
    pub(crate) seconds: f64,
    pub(crate) is_quick: bool,
    scratch: TempDir,
    folders: Cell<usize>,
}

/// The upstream of a case, and the cores of all its parts.
pub(crate) struct Stage<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) cores: Cores,
    pub(crate) upstream: SocketAddr,
    process: Process,
}

impl Bench {
    pub(crate) fn new(programs: Programs, peers: Vec<Peer>) -> Result<Self> {
        Ok(Self {
            machine: Machine::look()?,
            programs,
            peers,
            rounds: 5,
            seconds: 3.0,
            is_quick: false,
            scratch: tempfile::Builder::new().prefix("side-by-side-").tempdir()?,
            folders: Cell::new(0),
        })
    }

    /// A new folder, which goes when the run ends.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let number = self.folders.replace(self.folders.get() + 1);
        let folder = self.scratch.path().join(number.to_string());
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Starts an upstream on its core.
    pub(crate) fn stage(&self, cores: Cores) -> Result<Stage<'_>> {
        let place = Place { cores: &cores.upstream, folder: &self.folder()? };
        let (process, upstream) = Process::serve(place, "mock", &[OsStr::new("mock")])?;
        Ok(Stage { bench: self, cores, upstream, process })
    }
}

impl Stage<'_> {
    /// Starts a peer on its core.
    pub(crate) fn start(&self, peer: Peer, deployment: &Deployment) -> Result<Running> {
        let folder = self.bench.folder()?;
        let place = Place { cores: &self.cores.proxy, folder: &folder };
        let started = match peer {
            Peer::None => Ok(Running::nobody(self.upstream)),
            Peer::Hyper => peer::start_bare(place, self.upstream),
            _ => peer::command(peer, &self.bench.programs, &folder, self.upstream, deployment)?
                .with_context(|| format!("{} is not installed", peer.name()))?
                .start(place),
        };
        started.with_context(|| format!("{} does not start, see its files:\n{}", peer.name(), said(&folder)))
    }

    /// The process of the upstream.
    pub(crate) fn upstream_id(&self) -> u32 {
        self.process.id()
    }

    /// Carries a plan out on the load's cores.
    pub(crate) fn drive(&self, plan: &Plan) -> Result<Outcome> {
        plan.carry_out(&self.cores.load)
    }
}

/// Says how far the run is.
pub(crate) fn tell(case: &str, round: usize, rounds: usize, who: &str) {
    eprintln!("{case}, round {} of {rounds}: {who}", round + 1);
}

/// The ends of what processes wrote into a folder.
fn said(folder: &std::path::Path) -> String {
    const SHOWN: usize = 2000;
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = files.filter(|path| path.extension().is_some_and(|it| it == "err" || it == "out" || it == "log"));
    let texts = logs.filter_map(|path| Some((path.display().to_string(), fs::read_to_string(path).ok()?)));
    texts.fold(String::new(), |all, (path, text)| {
        let end = &text[text.floor_char_boundary(text.len().saturating_sub(SHOWN))..];
        format!("{all}{path}:\n{end}\n")
    })
}
