//! `gateway-server simulate`: the simulator as a server of its own.

use std::io::{Write, stdout};

use anyhow::Context;
use gateway_simulator::{Simulator, SimulatorConfig};
use tokio::runtime::Builder;

use crate::serve::StopSignals;

/// Where the simulator listens.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 18100)]
    port: u16,
    /// The address to bind
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Worker threads [default: one per core]
    #[arg(long)]
    workers: Option<usize>,
}

/// Serves until a signal to stop.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut runtime = Builder::new_multi_thread();
    if let Some(workers) = options.workers {
        runtime.worker_threads(workers.max(1));
    }
    runtime.enable_all().build().context("the runtime cannot be started")?.block_on(async {
        let mut stop = StopSignals::listen()?;
        let simulator = Simulator::bind(SimulatorConfig::at(format!("{}:{}", options.host, options.port))).await?;
        // That nobody reads it is no reason not to serve.
        drop(writeln!(stdout(), "simulating an OpenAI provider at http://{}/v1", simulator.address()));
        simulator.serve(async move { stop.next().await }).await;
        Ok(())
    })
}
