//! Where lines wait for the log's own thread.
//!
//! Lines are appended to one buffer, under a lock that is held for the copy, and the thread takes all of it at once. What a call pays
//! beyond the copy would be to wake the thread, which costs more than all else: so lines of calls gather for a while. While they come,
//! the thread wakes by itself and finds some each time; only after a while without any it waits to be told of the next.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait before further lines are lost: 9,000 lines of calls that went well, 13,000 of such as were refused. The thread
/// that writes holds as much again at most.
const ROOM: usize = 4 * 1_024 * 1_024;

/// How long lines of calls gather: the thread wakes at most a hundred times a second for them. Whoever reads along notices nothing,
/// and a process that is killed loses no more of them.
const GATHERING: Duration = Duration::from_millis(10);

/// Bytes that do not wait until the time is over. Twenty-five megabytes of lines a second come to it.
const PLENTY: usize = 256 * 1_024;

/// When a line is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// At once. It is rare, and who reads it may be waiting for it.
    Now,
    /// With others like it.
    Soon,
}

/// Lines that wait.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    /// Tells the thread that there is something to do.
    work: Condvar,
    lost: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Whether they are to be written now.
    is_due: bool,
    /// Whether the thread is to be told of the next line, because it looks no more by itself.
    is_idle: bool,
    /// Whether there are to be no more lines.
    is_closed: bool,
}

impl Queue {
    /// An empty one, that adds up what is lost there.
    pub(crate) fn new(lost: Arc<AtomicUsize>) -> Self {
        Self { waiting: Mutex::default(), work: Condvar::new(), lost }
    }

    /// Adds a line, or counts it as lost if there is no room for it. Never waits for the reader of the log.
    pub(crate) fn append(&self, line: &[u8], due: Due) {
        let is_to_wake = {
            let mut waiting = self.waiting.lock();
            if waiting.is_closed || waiting.lines.len() + line.len() > ROOM {
                drop(waiting);
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            waiting.add(line, due)
        };
        if is_to_wake {
            self.work.notify_one();
        }
    }

    /// Waits until lines are due and takes all there are, in exchange for memory that is free. None at the end, when all have been
    /// taken.
    pub(crate) fn take(&self, free: Vec<u8>) -> Option<Vec<u8>> {
        let mut waiting = self.waiting.lock();
        loop {
            self.work.wait_while_for(&mut waiting, |waiting| !waiting.is_due && !waiting.is_closed, GATHERING);
            if !waiting.lines.is_empty() {
                waiting.is_due = false;
                return Some(std::mem::replace(&mut waiting.lines, free));
            }
            if waiting.is_closed {
                return None;
            }
            waiting.is_idle = true;
            self.work.wait_while(&mut waiting, |waiting| waiting.is_idle && !waiting.is_closed);
        }
    }

    /// Has no more lines come. Further ones are lost.
    pub(crate) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.work.notify_one();
    }
}

impl Waiting {
    /// Returns whether the thread has to be woken for it.
    fn add(&mut self, line: &[u8], due: Due) -> bool {
        self.lines.extend_from_slice(line);
        let was_due = self.is_due;
        self.is_due |= due == Due::Now || self.lines.len() >= PLENTY;
        let was_idle = std::mem::take(&mut self.is_idle);
        was_idle || (self.is_due && !was_due)
    }
}

/// Adds lines of `tracing`, each of which comes in one piece.
#[derive(Debug, Clone)]
pub(super) struct Events(pub(super) Arc<Queue>);

impl io::Write for Events {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.append(line, Due::Now);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Events {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests;
