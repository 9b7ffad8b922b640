//! The outage drill: one of two upstreams fails under load and comes back, and callers must not notice.
//!
//! `just drill` runs it against the release build. It starts the gateway and both upstreams, makes calls at a fixed rate
//! whatever becomes of them, and prints what callers saw, what the upstreams were asked for, and how long the upstream
//! that came back had to wait for its share. It fails if that is more than the bounds in `report` allow.
//!
//! `GATEWAY_SERVER` names another binary than the one of this build.
#![allow(clippy::expect_used, clippy::panic)]

mod load;
mod outage;
mod report;
mod upstreams;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use gateway_testing::GatewayProcess;
use tokio::time::Instant;

use load::Load;
use outage::Outage;
use report::Report;
use upstreams::Upstreams;

/// Drives an outage of one upstream through the gateway, and fails if callers notice.
#[derive(Debug, Parser)]
#[command(name = "drill")]
struct Arguments {
    /// How long the drill lasts; its phases keep their proportions
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(4..))]
    seconds: u32,
    /// Calls a second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    /// How long the gateway waits for the head of an answer, in milliseconds; the slow upstream takes twice as long
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    headers_timeout: u32,
}

/// Two models that callers ask for, one served by both upstreams and one by `a` alone, and one to fall back to.
///
/// `HEADERS` stands for the shortest time limit. The breaker probes every second or two, not every half minute: the drill
/// lasts one.
const CONFIG: &str = r#"
auth: none
providers:
  - { name: a, api_base: "${A}", model_mapping: [large, small] }
  - { name: b, api_base: "${B}", model_mapping: [large, reserve] }
models:
  large: { targets: [ { provider: a }, { provider: b } ], fallback_models: [reserve] }
  small: { targets: [ { provider: a } ], fallback_models: [reserve] }
timeouts: { connect: HEADERS, headers: HEADERS, first_token: 5s, idle: 5s, total: 30s }
retry: { max_retries: 2, base_delay: 50ms, max_delay: 500ms }
circuit_breaker: { consecutive_failures: 5, failure_ratio: 0.5, min_requests: 10, window: 10s, open: 1s, max_open: 2s }
"#;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let headers_timeout = Duration::from_millis(arguments.headers_timeout.into());
    let outage = Outage::lasting(Duration::from_secs(arguments.seconds.into()));
    let mut upstreams = Upstreams::start().await;
    let config = CONFIG.replace("HEADERS", &format!("{}ms", arguments.headers_timeout));
    let addresses = [("A", &*upstreams.a.api_base()), ("B", &*upstreams.b.api_base())];
    let gateway = GatewayProcess::start_with(&config, &addresses);
    println!("{}\n", config.trim());

    let began = Instant::now();
    upstreams.begin(&outage, began, 2 * headers_timeout);
    let load = Load { gateway: gateway.address(), rate: arguments.rate, lasts: outage.lasts() };
    let calls = load.drive(began).await;
    let report = Report { outage: &outage, calls: &calls, a: upstreams.arrivals_a(), b: upstreams.arrivals_b() };
    println!("{report}");
    let missed = report.missed_bounds();
    for bound in &missed {
        println!("MISSED: {bound}");
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
