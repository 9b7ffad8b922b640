//! The threads that serve callers, each with a runtime of its own: nothing of a call moves between them.
//!
//! What is not a call, such as the store, reloads and the administrators' own listener, has another runtime, and so never
//! stands in the way of a stream.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The workers of the process, which end when this is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    runtimes: Vec<Handle>,
    /// Nothing is ever sent: it closes when the last worker has ended.
    ended: Receiver<()>,
    running: DropGuard,
}

impl Workers {
    /// So many workers; one for each core without a number, where the process's CPU quota and affinity are heeded.
    pub(crate) fn start(count: Option<usize>) -> anyhow::Result<Self> {
        let count = count.unwrap_or_else(cores);
        let (ending, ended) = channel();
        let stop = CancellationToken::new();
        let mut runtimes = Vec::with_capacity(count);
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build().context("a worker cannot be started")?;
            runtimes.push(runtime.handle().clone());
            let (stop, ending) = (stop.clone(), ending.clone());
            let work = move || {
                run(runtime, &stop);
                drop(ending);
            };
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(work)
                .context("a worker cannot be started")?;
        }
        Ok(Self { runtimes, ended, running: stop.drop_guard() })
    }

    pub(crate) fn runtimes(&self) -> &[Handle] {
        &self.runtimes
    }

    /// Ends all workers, but waits no longer than this for one that is stuck.
    pub(crate) fn stop(self, patience: Duration) {
        drop(self.running);
        // An error either way: that all have ended, or that the time is over.
        let _ = self.ended.recv_timeout(patience);
    }
}

fn run(runtime: Runtime, stop: &CancellationToken) {
    runtime.block_on(stop.cancelled());
    // What waits for a file that does not answer is no reason to stay.
    runtime.shutdown_background();
}

/// The cores that the process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}
