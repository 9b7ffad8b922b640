//! What the commands that work on the store have in common with a server: a runtime, for as long as the command takes.

use std::future::Future;

use anyhow::Context;
use tokio::runtime::Builder;

/// Runs something to its end.
pub(crate) fn run_to_end<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build().context("the runtime cannot be started")?;
    Ok(runtime.block_on(work))
}
