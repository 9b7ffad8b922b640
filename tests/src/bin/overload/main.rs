//! The overload drill: three times as many calls as can be served, most of them of one key.
//!
//! `just overload` runs it against the release build. It starts the gateway with little room before an upstream that takes a
//! fixed time for each call, so that what can be served is known: places over time. Callers do not wait for each other,
//! first a little below that, then far above, then below it again. It prints what they saw of it and what it cost, and fails
//! if that is more than the bounds in `bounds` allow.
//!
//! `GATEWAY_SERVER` names another binary than the one of this build.
#![allow(clippy::expect_used, clippy::panic)]

mod bounds;
mod course;
mod load;
mod meter;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use gateway_testing::{FakeUpstream, GatewayProcess, Script};
use tokio::time::Instant;

use bounds::{Judged, missed_bounds};
use course::{Course, KEYS};
use load::Load;
use meter::Meter;
use report::Report;

/// Drives more calls through the gateway than it has room for, and fails if it does not hold.
#[derive(Debug, Parser)]
#[command(name = "overload")]
struct Arguments {
    /// How long the overload lasts; before and behind it there is a quarter of that
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(4..))]
    seconds: u32,
    /// How many calls are served at once
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// How long the upstream takes for each, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    latency: u32,
    /// How many may wait in line
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    queue: u32,
    /// Judge only what does not depend on how fast the machine is
    #[arg(long)]
    counts_only: bool,
}

/// `IN_FLIGHT` and `IN_LINE` stand for the room.
const CONFIG: &str = r#"
server: { max_in_flight: IN_FLIGHT, queue: { size: IN_LINE, timeout: 1s } }
providers:
  - { name: main, api_base: "${UPSTREAM}", model_mapping: [gpt-4o] }
store: { url: none }
master_keys:
"#;

/// What every call is answered.
const ANSWER: &str = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"All is well."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let latency = Duration::from_millis(arguments.latency.into());
    let course = Course::new(Duration::from_secs(arguments.seconds.into()), arguments.in_flight, latency);
    let upstream = FakeUpstream::start([]).await.expect("a free port");
    upstream.otherwise(move |_| Script::new().pause(latency).answer(200, "application/json", ANSWER));
    let room = [("IN_FLIGHT", arguments.in_flight), ("IN_LINE", arguments.queue)];
    let config = room.iter().fold(CONFIG.to_owned(), |config, (name, room)| config.replace(name, &room.to_string()));
    let config = config + &listed_keys();
    let gateway = GatewayProcess::start_with(&config, &[("UPSTREAM", &upstream.api_base())]);
    println!("{}\n", config.trim());

    let began = Instant::now();
    let load = Load { gateway: gateway.address(), course };
    let (calls, meter) = tokio::join!(load.drive(began), Meter::watch(&gateway, &course, began));
    let report = Report { course: &course, calls: &calls, meter: &meter };
    println!("{report}");
    let judged = if arguments.counts_only { Judged::Counts } else { Judged::All };
    let missed = missed_bounds(&report, judged);
    for bound in &missed {
        println!("MISSED: {bound}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn listed_keys() -> String {
    let lines = KEYS.map(|key| format!("  - {{ name: {}, key: {} }}\n", key.name, key.secret));
    lines.concat()
}
