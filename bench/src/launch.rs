//! Becoming another program on given cores, with as many descriptors as there may be, that ends when its parent does.
//!
//! A step of its own between the tool and what it starts, because all of it is a matter of the process itself and lasts beyond `exec`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Runs the command in place of this process; returns only if it cannot.
pub(crate) fn run(cores: &[usize], command: &[OsString]) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command")?;
    if !cores.is_empty() {
        let mut set = CpuSet::new();
        for core in cores {
            set.set(*core);
        }
        sched_setaffinity(None, &set).with_context(|| format!("cores {cores:?} cannot be used"))?;
    }
    raise_descriptors()?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("{} cannot be run", program.display()))
}

/// The most descriptors that a process started from here can have.
pub(crate) fn most_descriptors() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises the limit of this process and those that it starts as far as it goes.
pub(crate) fn raise_descriptors() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("the limit of descriptors")
}
