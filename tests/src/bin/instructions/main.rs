//! What a call takes in instructions, held against a baseline.
//!
//! `just bench-micro` runs it, and CI does. It runs itself under callgrind and counts what it takes to read a body, to make calls
//! that end at each of the steps, to pass a frame of a stream on, and to tell each observer of a call. The baseline is
//! `tests/baseline/instructions.json`; a row that takes more than 3% above it fails the run. Unlike times, instructions are the same
//! on a machine that is busy; what the kernel does for a call is not among them.
//!
//! What makes them the same twice: all that a figure is about runs in one thread, the upstream included, so nothing depends on
//! who comes first (`counted::upstream`). Callgrind ends a part of its count where the program says so, so no start is in any figure
//! (`run`). An allocation counts as the same number of instructions whatever was freed before it, and threads beside the path, such as
//! the log's, get their turn in the order in which they ask (`callgrind`). Runs of one build differ by less than a percent. What
//! those threads do does depend on their turns, so it is told where an observer is counted alone, and not compared.
//!
//! What they depend on: the compiler, the C library, by which memory is copied, and the processor as valgrind shows it. That is one
//! and the same Haswell on every x86-64 that has AVX2, so searches in text and checks of it take the same everywhere. It has no SHA
//! extensions: the digest of a key takes 3,500 instructions here, whatever the machine has, and a small part of that in production.
//! The baseline says what it was counted with, and the report says where that differs.
//!
//! The build is that of the profile `micro`, because a release takes more than twice as long to build. What is inlined between crates
//! differs a little, so figures are compared with each other and not taken for the server's.
#![allow(clippy::expect_used, clippy::panic)]

mod baseline;
mod callgrind;
mod calls;
mod observers;
mod report;
mod run;
mod scanners;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::{Parser, Subcommand, ValueEnum};
use gateway_testing::{FakeUpstream, Script};
use tokio::sync::Semaphore;
use tokio::task;

use baseline::Baseline;
use report::{Figure, Report};
use run::{Measured, Run};

/// Counts the instructions of calls, and fails if they are more than 3% above the baseline.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Arguments {
    /// Write what was counted as the new baseline
    #[arg(long, conflicts_with = "only")]
    save: bool,
    /// Count only rows that have this in their name
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Inside::Measured(measured)) = arguments.inside {
        measured.carry_out();
        return ExitCode::SUCCESS;
    }
    match compare(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Counts, prints, and says whether it is no more than it was.
fn compare(arguments: &Arguments) -> Result<bool, String> {
    callgrind::check()?;
    let scratch = tempfile::tempdir().map_err(|error| format!("no folder for what callgrind writes: {error}"))?;
    let folder = arguments.keep.as_deref().unwrap_or(scratch.path());
    let mut figures = count(folder, &arguments.only);
    figures.retain(|figure| figure.name.contains(&arguments.only));
    if arguments.save {
        Baseline::of(&figures).save()?;
    }
    let mut baseline = Baseline::load()?;
    baseline.rows.retain(|name, _| name.contains(&arguments.only));
    if figures.is_empty() {
        return Err(format!("no row has \"{}\" in its name", arguments.only));
    }
    let report = Report::new(figures, baseline);
    println!("{report}");
    Ok(report.is_passed())
}

/// Everything that has `only` in the name of a row, as many runs at once as there are processors.
#[tokio::main]
async fn count(folder: &Path, only: &str) -> Vec<Figure> {
    let receiver = FakeUpstream::start([]).await.expect("a free port");
    receiver.otherwise(|_| Script::new().answer(200, "application/x-protobuf", ""));
    let receiver = receiver.address().to_string();
    // The figures do not depend on what else runs.
    let places = Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, Into::into)));
    let runs = Run::value_variants().iter().copied();
    let runs = runs.filter(|run| run.rows().iter().any(|row| row.name.contains(only)));
    let counting = runs.map(|run| {
        let (places, receiver) = (Arc::clone(&places), receiver.clone());
        let folder = folder.join(run.name());
        task::spawn(async move {
            let _place = places.acquire_owned().await.expect("it is never closed");
            let measured = Measured { run, receiver };
            task::spawn_blocking(move || figures(&measured, &folder)).await.expect("it can be counted")
        })
    });
    let mut all = Vec::new();
    for counting in counting.collect::<Vec<_>>() {
        all.extend(counting.await.expect("it can be counted"));
    }
    all
}

/// What a run counted, row by row.
fn figures(measured: &Measured, folder: &Path) -> Vec<Figure> {
    let counts = callgrind::count(measured, folder);
    let rows = measured.run.rows();
    assert_eq!(counts.parts.len(), 2 * rows.len(), "each row has a part to warm up and one that counts");
    let counted = counts.parts.iter().skip(1).step_by(2);
    let counted: Vec<Figure> = rows.iter().zip(counted).map(|(row, part)| Figure::new(row, part)).collect();
    let told = rows.iter().zip(&counted).enumerate().map(|(index, (row, figure))| match row.fewer {
        Some(count) => figure.clone().missing(&counted[index - 1], count),
        None => figure.clone(),
    });
    let mut told: Vec<Figure> = told.collect();
    if let (true, [row], [figure]) = (measured.run.has_threads_behind(), &*rows, &mut *told) {
        figure.behind = Some(counts.behind / u64::from(row.times + row.warm_up()));
    }
    told
}
