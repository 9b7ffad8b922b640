//! The gateway, as a production deployment has it, and as a very large one does.

mod population;

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Command, filled};
use crate::process::complete;

pub(crate) use population::Population;

const CONFIGURATION: &str = include_str!("../../peers/gateway.yaml");

/// How the gateway is deployed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deployment {
    pub(crate) workers: usize,
    pub(crate) population: Population,
}

impl Deployment {
    /// What all peers are compared with.
    pub(crate) const ORDINARY: Self = Self { workers: 1, population: Population::Ordinary };
}

pub(super) fn command(
    program: &Path,
    folder: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
    deployment: &Deployment,
) -> Result<Command> {
    let words = [("PORT", address.port().to_string()), ("WORKERS", deployment.workers.to_string())];
    let population = deployment.population;
    fs::write(folder.join("gateway.yaml"), filled(CONFIGURATION, &words) + &population.in_file(upstream))?;
    for (number, keys) in population.in_store().enumerate() {
        let name = format!("keys-{number}.yaml");
        fs::write(folder.join(&name), keys)?;
        let words = ["import", "--config", "gateway.yaml", &name].map(OsStr::new);
        let command: Vec<_> = std::iter::once(program.as_os_str()).chain(words).collect();
        complete(folder, &command).context("keys cannot be stored")?;
    }
    let arguments = ["--config", "gateway.yaml"].map(str::to_owned).into();
    Ok(Command { name: "gateway", program: program.to_owned(), arguments, address })
}
