//! The log's own thread, which no call runs on and which may wait for the reader as long as it takes.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::output::Output;
use super::queue::Queue;

/// How long the end waits for lines that still have to be written: a reader that does not read must not keep a process from ending.
const PATIENCE: Duration = Duration::from_secs(1);

/// Memory that is kept for lines, twice. More of it is needed only while a reader is slow.
const KEPT: usize = 256 * 1_024;

/// The thread, until this is dropped: then lines that wait are written, and no more are taken.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    ended: Arc<Ended>,
}

#[derive(Debug, Default)]
struct Ended {
    is_so: Mutex<bool>,
    told: Condvar,
}

impl Writer {
    /// Writes what is in the queue to an output, from now on.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub(super) fn start(queue: Arc<Queue>, output: Output<impl Write + Send + 'static>) -> io::Result<Self> {
        let ended = Arc::<Ended>::default();
        let (lines, told) = (Arc::clone(&queue), Arc::clone(&ended));
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || {
            write_all(&lines, output);
            *told.is_so.lock() = true;
            told.told.notify_all();
        })?;
        Ok(Self { queue, ended })
    }
}

fn write_all(queue: &Queue, mut output: Output<impl Write>) {
    let mut free = Vec::new();
    while let Some(mut lines) = queue.take(free) {
        output.put(&lines);
        lines.clear();
        lines.shrink_to(KEPT);
        free = lines;
    }
    output.flush();
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        let mut ended = self.ended.is_so.lock();
        self.ended.told.wait_while_for(&mut ended, |is_so| !*is_so, PATIENCE);
    }
}

#[cfg(test)]
mod tests;
