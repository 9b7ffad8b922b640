//! What stands between load and upstream: how each is started, and how it is told where the upstream is.

mod gateway;
mod haproxy;
mod nginx;

use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::process::{Place, Process, wait_for};

pub(crate) use gateway::{Deployment, Population};

/// Somebody who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// Nobody: the load calls the upstream itself.
    None,
    Nginx,
    Haproxy,
    /// The bare proxy of this tool.
    Hyper,
    Gateway,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Hyper => "hyper",
            Self::Gateway => "gateway",
        }
    }
}

/// The programs that are measured; those that are not of this repository may be missing.
#[derive(Debug, Serialize)]
pub(crate) struct Programs {
    pub(crate) gateway: PathBuf,
    pub(crate) nginx: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
}

impl Programs {
    pub(crate) fn find(gateway: PathBuf) -> Self {
        Self { gateway, nginx: find("nginx"), haproxy: find("haproxy") }
    }

    pub(crate) fn has(&self, peer: Peer) -> bool {
        matches!(peer, Peer::None | Peer::Hyper) || self.path(peer).is_some()
    }

    /// Where a program is; the bare proxy is none of its own.
    pub(crate) fn path(&self, peer: Peer) -> Option<&Path> {
        match peer {
            Peer::Nginx => self.nginx.as_deref(),
            Peer::Haproxy => self.haproxy.as_deref(),
            Peer::Gateway => Some(&self.gateway),
            Peer::None | Peer::Hyper => None,
        }
    }
}

/// A program of the system. Debian keeps daemons where the path of ordinary users does not lead.
fn find(program: &str) -> Option<PathBuf> {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    folders.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

/// Somebody who answers.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    process: Option<Process>,
}

impl Running {
    /// Nobody, in front of this upstream.
    pub(crate) fn nobody(upstream: SocketAddr) -> Self {
        Self { address: upstream, process: None }
    }

    /// The process to measure.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }
}

/// A program with its arguments, and where it will listen.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    pub(crate) address: SocketAddr,
}

impl Command {
    fn words(&self) -> Vec<&OsStr> {
        std::iter::once(self.program.as_os_str()).chain(self.arguments.iter().map(OsStr::new)).collect()
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self, place: Place<'_>) -> Result<Running> {
        let mut process = Process::start(place, self.name, &self.words())?;
        wait_for(self.name, || {
            process.check()?;
            Ok(TcpStream::connect(self.address).ok())
        })?;
        Ok(Running { address: self.address, process: Some(process) })
    }

    /// Starts it without any step between, and does not wait.
    pub(crate) fn start_at_once(&self, folder: &Path) -> Result<Process> {
        Process::start_at_once(folder, self.name, &self.words())
    }
}

/// What to run for a peer, with its configuration written into the folder; nothing for those that are not programs of their own.
pub(crate) fn command(
    peer: Peer,
    programs: &Programs,
    folder: &Path,
    upstream: SocketAddr,
    deployment: &Deployment,
) -> Result<Option<Command>> {
    let address = free_address()?;
    let Some(program) = programs.path(peer) else { return Ok(None) };
    match peer {
        Peer::None | Peer::Hyper => Ok(None),
        Peer::Nginx => nginx::command(program, folder, address, upstream).map(Some),
        Peer::Haproxy => haproxy::command(program, folder, address, upstream).map(Some),
        Peer::Gateway => gateway::command(program, folder, address, upstream, deployment).map(Some),
    }
}

/// Starts the bare proxy, which is this tool.
pub(crate) fn start_bare(place: Place<'_>, upstream: SocketAddr) -> Result<Running> {
    let upstream = upstream.to_string();
    let arguments = ["bare", "--upstream", &upstream].map(OsStr::new);
    let (process, address) = Process::serve(place, "hyper", &arguments)?;
    Ok(Running { address, process: Some(process) })
}

/// An address that was free just now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A text with the words between `@` filled in.
fn filled(text: &str, words: &[(&str, String)]) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(&format!("@{word}@"), value))
}
