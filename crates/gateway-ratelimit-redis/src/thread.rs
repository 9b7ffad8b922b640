//! The thread that talks to Redis.
//!
//! It is a thread of its own so that a gateway with more to do than it can cope with does not take a healthy Redis for a dead
//! one: sockets are read, and time is measured, however many calls wait for their turn elsewhere.

use std::io;
use std::thread::{Builder, JoinHandle};

use tokio::runtime;
use tokio::sync::oneshot;

/// As the system shows it, which cuts off more than 15 letters.
const NAME: &str = "redis-limits";

/// A thread with a runtime that does one thing. Dropping it ends both at once.
#[derive(Debug)]
pub(crate) struct RedisThread {
    stop: Option<oneshot::Sender<()>>,
    /// Closed by this end to stop the other at once; closed by the other when it has ended.
    running: oneshot::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl RedisThread {
    /// Runs what `task` makes until that ends; it ends when it likes after what it was given is told. An error says that
    /// there can be no more threads or no more file descriptors.
    pub(crate) async fn start<F: Future<Output = ()>>(
        task: impl FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopping) = oneshot::channel();
        let (mut run, running) = oneshot::channel();
        let (start, started) = oneshot::channel();
        let thread = Builder::new().name(NAME.to_owned()).spawn(move || {
            let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(start.send(Err(error))),
            };
            let _ = start.send(Ok(()));
            runtime.block_on(async {
                tokio::select! {
                    () = run.closed() => {}
                    () = task(stopping) => {}
                }
            });
            // The name of a host that is being looked up is not waited for.
            runtime.shutdown_background();
            drop(run);
        })?;
        let started_thread = Self { stop: Some(stop), running, thread: Some(thread) };
        started.await.unwrap_or_else(|_| Err(io::Error::other("the thread has ended")))?;
        Ok(started_thread)
    }

    /// Tells it to end, and waits until it has.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            // An error says that it has ended already.
            let _ = stop.send(());
        }
        // Nothing is ever sent: it is an error that says that it has ended.
        let _ = (&mut self.running).await;
    }
}

impl Drop for RedisThread {
    fn drop(&mut self) {
        self.running.close();
        if let Some(thread) = self.thread.take() {
            // It has nothing left to wait for. A panic has been reported by then.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Set when it is dropped.
    struct Flag(Arc<AtomicBool>);

    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    #[tokio::test]
    async fn whoever_stops_it_waits_for_its_last_words() {
        let told = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&told));
        let thread = RedisThread::start(async move |stopping| {
            let _ = stopping.await;
            tokio::task::yield_now().await;
            drop(flag);
        });
        let thread = thread.await.unwrap();
        assert!(!told.load(Ordering::Acquire));
        thread.stop().await;
        assert!(told.load(Ordering::Acquire));
    }

    #[tokio::test]
    async fn dropping_it_ends_it_in_the_middle_of_anything() {
        let is_gone = Arc::new(AtomicBool::new(false));
        let flag = Flag(Arc::clone(&is_gone));
        let thread = RedisThread::start(async move |_stopping| {
            let _flag = flag;
            std::future::pending::<()>().await;
        });
        drop(thread.await.unwrap());
        assert!(is_gone.load(Ordering::Acquire), "it has been joined");
    }
}
