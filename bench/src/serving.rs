//! What the parts of the tool that serve have in common: one thread, and a line that says where they listen.

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::Result;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// Runs it on a runtime of this thread alone.
pub(crate) fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    LocalSet::new().block_on(&runtime, work)
}

/// Tells who started this process where it listens, in the first line of the output.
pub(crate) fn announce(address: SocketAddr) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{address}")?;
    out.flush()?;
    Ok(())
}
