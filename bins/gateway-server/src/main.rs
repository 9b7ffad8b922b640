//! The gateway as a process: arguments in, a listening server out.

use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gateway_config::{Config, Settings, Sources};
use gateway_core::Gateway;
use mimalloc::MiMalloc;

mod administration;
mod banner;
mod check;
mod commands;
mod detailed;
mod export;
mod front;
mod health_checks;
mod host;
mod import;
mod keys;
mod migrate;
mod observation;
mod probe;
mod reseal;
mod scrape;
mod serve;
mod service_manager;
mod simulate;
mod state;
mod usage;
mod workers;

/// For the blocks above a kilobyte that hyper takes for each request, which glibc's cache does not hold.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// An LLM gateway: one binary between applications and LLM providers.
#[derive(Debug, Parser)]
#[command(name = "gateway-server", version, propagate_version = true, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    source: ConfigSource,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where the configuration is.
#[derive(Debug, Clone, clap::Args)]
struct ConfigSource {
    /// The configuration file [default: `$CONFIG_PATH`, else `config.yaml` if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigSource {
    /// What the file and the environment say, for commands that work on the store: what only the store may know is not asked.
    fn load(self) -> anyhow::Result<Config> {
        let settings = Settings::read(&Sources::from_process(self.config))?;
        Ok(settings.resolve(None, &Gateway::builder().vocabulary())?.config)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve calls (what happens without a command)
    Serve(ConfigSource),
    /// Check the configuration, print every error in it, and exit
    Check(ConfigSource),
    /// Put the providers, models and keys of a configuration file into the store
    Import(import::Options),
    /// Print the store as a configuration file, with digests in the place of keys
    Export(export::Options),
    /// Seal the credentials in the store anew, with the first key of `STORE_ENCRYPTION_KEY`
    Reseal(ConfigSource),
    /// Manage callers' keys in the store
    #[command(subcommand)]
    Keys(keys::Command),
    /// Print what calls took: requests, errors, tokens and cost
    Usage(usage::Options),
    /// Manage the tables of the store
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Run a simulated OpenAI provider, for trying things out and for benchmarks
    Simulate(simulate::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => serve::run(arguments.source.config),
        Some(Command::Serve(source)) => serve::run(source.config),
        Some(Command::Check(source)) => check::run(source),
        Some(Command::Import(options)) => import::run(options),
        Some(Command::Export(options)) => export::run(options),
        Some(Command::Reseal(source)) => reseal::run(source),
        Some(Command::Keys(command)) => keys::run(command),
        Some(Command::Usage(options)) => usage::run(options),
        Some(Command::Migrate(command)) => migrate::run(&command),
        Some(Command::Simulate(options)) => simulate::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With nobody to read it, the exit code has to do.
            let _ = writeln!(stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
