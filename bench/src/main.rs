//! The gateway beside nginx, HAProxy and a bare proxy, measured in one run on one machine.
//!
//! `just bench` runs it. It starts an upstream of its own, puts each peer in front of it in turn, makes calls, checks every byte of
//! every answer, and asks the kernel how much processor time the peer took. Peers take turns round by round, so that a slow minute of
//! the machine hits all of them. It prints one table and writes every measurement as JSON; it fails if an answer was wrong, or if the
//! upstream may have been what limited a rate.
#![allow(clippy::print_stdout)]

mod bare;
mod bench;
mod case;
mod exchange;
mod kernel;
mod launch;
mod load;
mod machine;
mod mock;
mod peer;
mod process;
mod report;
mod rows;
mod serving;
mod socket;
mod statistics;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand, ValueEnum as _};

use bench::Bench;
use case::Case;
use peer::{Peer, Programs};
use report::Report;
use rows::{Rows, Run};

/// Measures the gateway beside nginx, HAProxy and a bare proxy.
#[derive(Debug, Parser)]
#[command(name = "side-by-side")]
struct Arguments {
    /// A built gateway-server; without it the one beside this program
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// How often everybody is measured in a case
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// How long one measurement makes calls
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=60))]
    seconds: u8,
    /// One short round of each case, for a look
    #[arg(long)]
    quick: bool,
    /// Only this case; may be given several times
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Only this peer; may be given several times
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<Peer>,
    /// Where every measurement is written to; without it target/bench/side-by-side.json
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(subcommand)]
    inside: Option<Inside>,
}

/// The parts of a run that are processes of their own.
#[derive(Debug, Subcommand)]
enum Inside {
    /// The upstream
    #[command(hide = true)]
    Mock,
    /// The bare proxy
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        upstream: SocketAddr,
    },
    /// The load
    #[command(hide = true)]
    Load,
    /// What a process does before it becomes another program
    #[command(hide = true)]
    Launch {
        #[arg(long = "core")]
        cores: Vec<usize>,
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let ended = match arguments.inside.take() {
        Some(inside) => inside.run().map(|()| ExitCode::SUCCESS),
        None => measure(&arguments),
    };
    ended.unwrap_or_else(|problem| {
        eprintln!("{problem:#}");
        ExitCode::FAILURE
    })
}

impl Inside {
    fn run(self) -> Result<()> {
        match self {
            Self::Mock => mock::run(),
            Self::Bare { upstream } => bare::run(upstream),
            Self::Load => load::run(),
            Self::Launch { cores, command } => launch::run(&cores, &command),
        }
    }
}

fn measure(arguments: &Arguments) -> Result<ExitCode> {
    let program = std::env::current_exe()?;
    let beside = program.parent().context("a program stands in a folder")?;
    let gateway = arguments.server.clone().unwrap_or_else(|| beside.join("gateway-server"));
    let gateway = gateway.canonicalize().with_context(|| format!("there is no {}", gateway.display()))?;
    let cases = chosen_cases(&arguments.cases)?;
    let bench = prepared(arguments, Programs::find(gateway))?;
    let mut rows = Rows::default();
    let mut faults = Vec::new();
    for case in &cases {
        // What was measured is told in any case.
        if let Err(problem) = (case.run)(case, &bench, &mut rows) {
            faults.push(format!("{}: {problem:#}", case.name));
        }
    }
    let report = Report { cases: &cases, rows: &rows };
    let (cores, rounds, seconds) = (bench.machine.cores(), bench.rounds, bench.seconds);
    println!(
        "{cores} cores, {rounds} rounds of {seconds} s; the median of the rounds (the least..the greatest)\n{report}"
    );
    let json = arguments.json.clone().unwrap_or_else(|| beside.join("../bench/side-by-side.json"));
    write(&json, &Run { cores, rounds, seconds, programs: &bench.programs, rows: &rows })?;
    faults.extend(report.faults());
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen_cases(names: &[String]) -> Result<Vec<&'static Case>> {
    let all = case::all();
    if let Some(name) = names.iter().find(|name| all.iter().all(|case| case.name != **name)) {
        let known: Vec<_> = all.iter().map(|case| case.name).collect();
        bail!("no case `{name}`; there are {}", known.join(", "));
    }
    Ok(all.into_iter().filter(|case| names.is_empty() || names.iter().any(|name| name == case.name)).collect())
}

fn prepared(arguments: &Arguments, programs: Programs) -> Result<Bench> {
    launch::raise_descriptors()?;
    let chosen = |peer: &Peer| arguments.peers.is_empty() || arguments.peers.contains(peer);
    let (installed, missing): (Vec<_>, Vec<_>) =
        Peer::value_variants().iter().copied().filter(chosen).partition(|peer| programs.has(*peer));
    for peer in missing {
        println!("{0} is not installed and left out (on Debian: apt-get install {0})", peer.name());
    }
    let mut bench = Bench::new(programs, installed)?;
    bench.is_quick = arguments.quick;
    (bench.rounds, bench.seconds) =
        if arguments.quick { (1, 1.0) } else { (arguments.rounds.into(), arguments.seconds.into()) };
    Ok(bench)
}

fn write(file: &Path, run: &Run<'_>) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    fs::write(file, serde_json::to_vec_pretty(run)?).with_context(|| format!("{} cannot be written", file.display()))
}
