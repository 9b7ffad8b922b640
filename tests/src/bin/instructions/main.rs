//! What it costs in instructions that operators see a call.
//!
//! `just bench` runs it against a release build. It runs itself under callgrind, each observer alone and all of them as the
//! server puts them together, over calls of a few kinds, and prints what each of these calls took more than none: on the path of
//! the call, and in the threads that write lines and send spans. Then whole calls go through the gateway, from a request in memory
//! to an upstream in another process, once with nobody told and once with everybody.
//!
//! Each figure is the difference between a run of a few calls and one of many, so what a start takes is in none. Instructions are
//! the same on a machine that is busy, unlike times; what the kernel does for a call is not among them.
#![allow(clippy::expect_used, clippy::panic)]

mod audience;
mod callgrind;
mod measured;
mod report;
mod script;
mod whole;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::{Parser, Subcommand, ValueEnum};
use gateway_testing::FakeUpstream;
use tokio::sync::Semaphore;
use tokio::task;

use audience::Told;
use callgrind::Counts;
use measured::Measured;
use report::{PerCall, Report};
use script::Script;

/// Counts the instructions that observers take of a call.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Arguments {
    /// How many calls are counted for a figure, and a tenth of them where they are whole calls
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=15_000))]
    calls: u32,
    /// Count only what has this in its name
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Leave what callgrind wrote in this folder, for `callgrind_annotate`
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    inside: Option<Inside>,
}

#[derive(Debug, Subcommand)]
enum Inside {
    /// What runs under callgrind
    #[command(hide = true)]
    Measured(Measured),
}

/// Calls of the run that the other is compared with: enough for whatever happens once to have happened.
const FEW: u32 = 200;

/// The rows of the table: a name, who is told, whether the call's trace is recorded, and whether the gateway makes the call.
const ROWS: [(&str, Told, bool, bool); 9] = [
    ("metrics", Told::Metrics, false, false),
    ("access log", Told::AccessLog, false, false),
    ("usage book", Told::UsageBook, false, false),
    ("traces, sampled", Told::Traces, true, false),
    ("traces, not sampled", Told::Traces, false, false),
    ("all, sampled", Told::Everybody, true, false),
    ("all, not sampled", Told::Everybody, false, false),
    ("whole call, nobody told", Told::Nobody, false, true),
    ("whole call, all, sampled", Told::Everybody, true, true),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Inside::Measured(measured)) = arguments.inside {
        measured.run();
        return ExitCode::SUCCESS;
    }
    if let Err(problem) = callgrind::check() {
        eprintln!("{problem}");
        return ExitCode::FAILURE;
    }
    print(&arguments);
    ExitCode::SUCCESS
}

#[tokio::main]
async fn print(arguments: &Arguments) {
    let scratch = tempfile::tempdir().expect("a folder for what callgrind writes");
    let folder = arguments.keep.as_deref().unwrap_or(scratch.path());
    // The figures do not depend on what else runs.
    let places = Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, Into::into)));
    let mut rows = Vec::new();
    for (name, told, is_sampled, is_whole) in ROWS.into_iter().filter(|(name, ..)| name.contains(&arguments.only)) {
        let calls = if is_whole { arguments.calls / 10 } else { arguments.calls };
        let figures = Script::value_variants().iter().map(|script| {
            let measured = Measured { told, script: *script, is_sampled, is_whole, ..Measured::default() };
            let (places, folder) = (Arc::clone(&places), folder.join(format!("{name}, {script}").replace(", ", "-")));
            task::spawn(async move {
                let _place = places.acquire_owned().await.expect("it is never closed");
                per_call(measured, calls, &folder).await
            })
        });
        rows.push((name, figures.collect::<Vec<_>>()));
    }
    let mut report = Report::default();
    for (name, figures) in rows {
        let mut counted = Vec::new();
        for figure in figures {
            counted.push(figure.await.expect("it can be counted"));
        }
        report.rows.push((name, counted));
    }
    println!("{report}");
}

/// What one call takes, of so many.
async fn per_call(measured: Measured, calls: u32, folder: &Path) -> PerCall {
    let few = counted(Measured { calls: FEW, ..measured.clone() }, folder.join("few")).await;
    let many = counted(Measured { calls: FEW + calls, ..measured }, folder.join("many")).await;
    let calls = u64::from(calls);
    // What a start takes is never quite the same, so nothing may come as somewhat less.
    let per_call = |few: u64, many: u64| (many.saturating_sub(few) + calls / 2) / calls;
    PerCall {
        path: per_call(few.path, many.path),
        behind: per_call(few.behind, many.behind),
        allocations: per_call(few.allocations, many.allocations),
    }
}

/// Runs it under callgrind, with an upstream and a receiver of spans beside it.
async fn counted(mut measured: Measured, folder: PathBuf) -> Counts {
    let upstream = FakeUpstream::start([]).await.expect("a free port");
    upstream.otherwise(whole::answer);
    measured.upstream = upstream.address().to_string();
    task::spawn_blocking(move || callgrind::count(&measured, &folder)).await.expect("it can be counted")
}
