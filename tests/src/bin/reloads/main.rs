//! The reload drill: a large configuration that changes under load.
//!
//! `just reloads` runs it against the release build. Calls come at a steady rate and do not wait for each other, while the file is
//! edited again and again: first one provider of it, then all of them. It prints how long each reload took and how long calls
//! took around it, beside those that were made while nobody touched the file, and fails if that is more than the bounds in
//! `bounds` allow. What the machine did meanwhile for others is printed too, because nothing can be said of five milliseconds
//! on one that is busy.
//!
//! Then a small file is edited, well and badly by turns, while streams run: every valid edit has to be in force promptly, no
//! other one ever, and no stream may notice.
//!
//! `GATEWAY_SERVER` names another binary than the one of this build.
#![allow(clippy::expect_used, clippy::panic)]

mod bounds;
mod edits;
mod file;
mod load;
mod machine;
mod report;
mod storm;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use gateway_testing::{FakeUpstream, Folder, GatewayProcess, Script};
use tokio::time::Instant;

use bounds::missed_bounds;
use edits::Course;
use file::File;
use load::Load;
use machine::Usage;
use report::Report;
use storm::Edited;

/// Edits the file of a gateway that is in use, and fails if calls notice.
#[derive(Debug, Parser)]
#[command(name = "reloads")]
struct Arguments {
    /// How often the file is edited in each of the two ways
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    edits: u32,
    /// How long the file is left alone before the first edit and after the last, each, in seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    quiet: u32,
    /// How many calls are made in a second
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How many providers the file has, with ten mappings and a model each
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    providers: u32,
    /// How often a small file is edited under streams, every other time by mistake
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    storm: u32,
}

/// What every call is answered.
const ANSWER: &str = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"All is well."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let upstream = FakeUpstream::start([]).await.expect("a free port");
    upstream.otherwise(|_| Script::new().answer(200, "application/json", ANSWER));
    let file = File { providers: arguments.providers, api_base: upstream.api_base() };
    let folder = Folder::with_config(&file.text(None));
    // A line for each call would be as much work for whoever reads it as the call itself.
    let gateway = GatewayProcess::start_in(&folder, &[("RUST_LOG", "info,access=warn")]);
    let course = Course { edits: arguments.edits, quiet: Duration::from_secs(arguments.quiet.into()) };
    println!("{}\n", file.summary());

    let began = Instant::now();
    let load = Load { gateway: gateway.address(), rate: arguments.rate, began };
    let is_over = Arc::new(AtomicBool::new(false));
    let calls = tokio::spawn(load.drive(Arc::clone(&is_over)));
    let before = Usage::now(gateway.id());
    let edits = course.make(&gateway, &file, began).await;
    is_over.store(true, Ordering::Relaxed);
    let calls = calls.await.expect("the calls are made");
    let usage = Usage::now(gateway.id()).since(&before);
    let report = Report { calls: &calls, edits: &edits, usage: &usage };
    println!("{report}");
    let mut missed = missed_bounds(&report);
    drop(gateway);
    let edited = Edited::under_streams(arguments.storm).await;
    println!("{edited}");
    missed.extend(edited.missed_bound());
    for bound in &missed {
        println!("MISSED: {bound}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
