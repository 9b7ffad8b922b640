//! The threads that serve callers, each with a runtime of its own: nothing of a call moves between them.
//!
//! What is not a call, such as the store, reloads and what administrators ask for, has another runtime, and so never
//! stands in the way of a stream.

use std::process;
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
    // Dropped ahead of the runtime, which may wait for what it still does.
    let _vital = Vital;
    runtime.block_on(stop.cancelled());
    // What waits for a file that does not answer is no reason to stay.
    runtime.shutdown_background();
}

/// Ends the process with a worker that panics. A task's panic does not come this far, so it is the runtime that is broken; the
/// worker's connections, and those that it would still be given, would hang for as long as the process lives.
struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

/// The cores that the process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::env;
    use std::future::{Future, pending};
    use std::os::unix::process::ExitStatusExt;
    use std::pin::pin;
    use std::process::Command;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    use tokio::time::sleep;

    use super::*;

    /// Set for the process that is to end.
    const IS_CHILD: &str = "GATEWAY_TEST_BROKEN_WORKER";

    /// Panics where no task is to blame.
    struct Broken;

    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }

    fn break_a_worker() -> ! {
        let workers = Workers::start(Some(1)).unwrap();
        workers.runtimes()[0].spawn(async {
            let mut timer = pin!(sleep(Duration::from_millis(1)));
            let _ = timer.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Broken))));
            pending::<()>().await;
        });
        let _ = workers.ended.recv();
        panic!("the process has outlived its worker");
    }

    #[test]
    fn the_process_does_not_outlive_a_worker() {
        if env::var_os(IS_CHILD).is_some() {
            break_a_worker();
        }
        let this = ["workers::tests::the_process_does_not_outlive_a_worker", "--exact", "--nocapture"];
        let child = Command::new(env::current_exe().unwrap()).args(this).env(IS_CHILD, "1").output().unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert!(said.contains("woken") && child.status.signal().is_some(), "{:?}: {said}", child.status);
    }
}
