//! `gateway-server migrate`: the tables of the store, by hand. The server brings them up to date by itself when it starts.

use std::io::{Write, stdout};

use anyhow::Context;

use crate::ConfigSource;
use crate::commands::run_to_end;
use crate::state::required_backend;

/// What is done with the tables.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Bring the store's tables up to date
    Up(ConfigSource),
    /// Undo the last migration; what its tables hold is lost
    Down(ConfigSource),
    /// Print the version of the store's tables, and the one that this program knows
    Version(ConfigSource),
}

/// Does what was asked, on the store of the configuration.
pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    run_to_end(async {
        let may_make = matches!(command, Command::Up(_));
        let (Command::Up(source) | Command::Down(source) | Command::Version(source)) = command;
        let backend = required_backend(&source.clone().load()?, may_make)?;
        let known = backend.known_version();
        let before = backend.version().await?;
        let line = match command {
            Command::Up(_) => format!("from version {before} to {}", backend.migrate_up().await?),
            Command::Down(_) => format!("from version {before} to {}", backend.migrate_down().await?),
            Command::Version(_) => format!("version {before}; this program knows {known}"),
        };
        writeln!(stdout(), "{line}").context("standard output cannot be written")
    })?
}
