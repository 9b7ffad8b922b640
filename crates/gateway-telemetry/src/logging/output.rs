//! Where the log's own thread writes lines to.
//!
//! The thread belongs to `tracing-appender`, which forgets a line that cannot be written. Here it is counted. A pipe that would block is
//! another matter: standard error is what the process was given, whoever shares it may have made it non-blocking, and then a full pipe
//! is an error although its reader is only slow. This thread has nothing else to do, so it waits.

use std::io::{self, ErrorKind, Write};
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
    pub(super) fn new(to: W) -> Self {
        Self { to, lost: Arc::default(), is_torn: false }
    }

    /// The count of lines that could not be written.
    pub(super) fn lost(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.lost)
    }

    fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            // Or the next line would be unreadable as well.
            self.put(b"\n")?;
            self.is_torn = false;
        }
        self.put(line)
    }

    fn put(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    self.is_torn = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => pause(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the log's own thread, which no call runs on")]
fn pause() {
    thread::sleep(PAUSE);
}

impl<W: Write> Write for Output<W> {
    /// Takes a line, always: whoever calls this could not do more about a line that cannot be written than to count it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.put_line(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Takes what is scripted, and says of the rest that it cannot.
    struct Scripted {
        results: std::vec::IntoIter<io::Result<usize>>,
        taken: Vec<u8>,
    }

    impl Scripted {
        fn new(results: Vec<io::Result<usize>>) -> Output<Self> {
            Output::new(Self { results: results.into_iter(), taken: Vec::new() })
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.results.next().unwrap_or(Err(ErrorKind::StorageFull.into()))?.min(bytes.len());
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lost<W: Write>(output: &Output<W>) -> usize {
        output.lost().load(Ordering::Relaxed)
    }

    #[test]
    fn a_line_is_written_on_when_there_is_room_or_a_signal_came() {
        let results = vec![
            Ok(2),
            Err(ErrorKind::WouldBlock.into()),
            Err(ErrorKind::Interrupted.into()),
            Ok(1),
            Err(ErrorKind::WouldBlock.into()),
            Ok(9),
        ];
        let mut output = Scripted::new(results);
        output.write_all(b"line 1\n").unwrap();
        assert_eq!((&*output.to.taken, lost(&output)), (&b"line 1\n"[..], 0));
    }

    #[test]
    fn a_line_that_is_torn_does_not_take_the_next_one_with_it() {
        let full = || Err(ErrorKind::StorageFull.into());
        // Torn; nothing written; room again, with a line of its own first.
        let results = vec![Ok(3), full(), full(), Ok(1), Ok(7), Ok(7)];
        let mut output = Scripted::new(results);
        for number in 1..=4 {
            output.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        assert_eq!((&*output.to.taken, lost(&output)), (&b"lin\nline 3\nline 4\n"[..], 2));
        // Nothing was written of the last: nothing is torn.
        let mut output = Scripted::new(vec![full(), Ok(0), Ok(7)]);
        for number in 1..=3 {
            output.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        assert_eq!((&*output.to.taken, lost(&output)), (&b"line 3\n"[..], 2));
    }

    #[test]
    fn what_a_full_device_or_a_pipe_that_nobody_reads_any_more_does_not_take_is_counted() {
        let mut full = Output::new(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut broken = Output::new(writer);
        for _ in 0..500 {
            full.write_all(b"a line\n").unwrap();
            broken.write_all(b"a line\n").unwrap();
        }
        assert_eq!((lost(&full), lost(&broken)), (500, 500));
    }

    #[test]
    fn a_slow_reader_of_what_does_not_block_gets_every_line() {
        const LINES: usize = 20_000;
        let (mut reader, writer) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        let mut output = Output::new(writer);
        let count = output.lost();
        let writer = thread::spawn(move || {
            for number in 0..LINES {
                output.write_all(format!("{number:0100}\n").as_bytes()).unwrap();
            }
        });
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        writer.join().unwrap();
        assert!(text.lines().enumerate().all(|(number, line)| line == format!("{number:0100}")));
        assert_eq!((text.lines().count(), count.load(Ordering::Relaxed)), (LINES, 0));
    }
}
