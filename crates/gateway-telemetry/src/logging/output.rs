//! Where the log's own thread writes lines to.
//!
//! Lines that waited together are written together, and those that cannot be written are counted. A pipe that would block is
//! another matter: standard error is what the process was given, whoever shares it may have made it non-blocking, and then a full pipe
//! is an error although its reader is only slow. This thread has nothing else to do, so it waits.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Between two looks whether the reader has made room. A pipe of 64 KiB that is emptied meanwhile takes 13 MB/s.
const PAUSE: Duration = Duration::from_millis(5);

/// Writes lines whole, or counts them.
#[derive(Debug)]
pub(super) struct Output<W> {
    to: W,
    lost: Arc<AtomicUsize>,
    /// Whether the last thing written is the beginning of a line that was lost.
    is_torn: bool,
}

impl<W: Write> Output<W> {
    /// Writes there, and adds up what is lost there.
    pub(super) fn new(to: W, lost: Arc<AtomicUsize>) -> Self {
        Self { to, lost, is_torn: false }
    }

    /// Writes lines, at once if there is room. When one of them cannot be written, it is lost with those behind it: what is
    /// wrong will not be right again before the next ones come.
    pub(super) fn put(&mut self, lines: &[u8]) {
        if self.is_torn {
            // Or the next line would be unreadable as well.
            self.is_torn = !self.put_all(b"\n").is_empty();
        }
        let unwritten = if self.is_torn { lines } else { self.put_all(lines) };
        if unwritten.is_empty() {
            return;
        }
        let written = lines.get(..lines.len() - unwritten.len()).unwrap_or_default();
        self.is_torn |= written.last().is_some_and(|last| *last != b'\n');
        self.lost.fetch_add(unwritten.split_inclusive(|byte| *byte == b'\n').count(), Ordering::Relaxed);
    }

    /// Hands on what is held on the way, if anything is.
    pub(super) fn flush(&mut self) {
        // Nobody could say which lines it was.
        let _ = self.to.flush();
    }

    /// Returns what cannot be written.
    fn put_all<'l>(&mut self, mut rest: &'l [u8]) -> &'l [u8] {
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => break,
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => pause(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        rest
    }
}

#[expect(clippy::disallowed_methods, reason = "the log's own thread, which no call runs on")]
fn pause() {
    thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests;
