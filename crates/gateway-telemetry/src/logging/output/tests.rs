use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;

use super::*;

/// Takes what is scripted, and says of the rest that it cannot.
struct Scripted {
    results: std::vec::IntoIter<io::Result<usize>>,
    taken: Vec<u8>,
}

impl Scripted {
    fn new(results: Vec<io::Result<usize>>) -> Output<Self> {
        Output::new(Self { results: results.into_iter(), taken: Vec::new() }, Arc::default())
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

fn full() -> io::Result<usize> {
    Err(ErrorKind::StorageFull.into())
}

/// What is taken of lines, each given alone or all together, and how many are lost.
fn taken(results: Vec<io::Result<usize>>, given: &[&str]) -> (String, usize) {
    let mut output = Scripted::new(results);
    for lines in given {
        output.put(lines.as_bytes());
    }
    (String::from_utf8(output.to.taken).unwrap(), output.lost.load(Ordering::Relaxed))
}

#[test]
fn lines_are_written_on_when_there_is_room_or_a_signal_came() {
    let would_block = || Err(ErrorKind::WouldBlock.into());
    let results = || vec![Ok(2), would_block(), Err(ErrorKind::Interrupted.into()), Ok(7), would_block(), Ok(9)];
    let both = "line 1\nline 2\n";
    assert_eq!(taken(results(), &[both]), (both.to_owned(), 0));
    assert_eq!(taken(vec![Ok(99)], &[both]), (both.to_owned(), 0), "one write is enough");
}

#[test]
fn a_line_that_is_torn_does_not_take_those_with_it_that_come_later() {
    let each = ["line 1\n", "line 2\n", "line 3\n", "line 4\n"];
    for (results, given, expected, lost) in [
        // Torn; the line feed behind it is not taken at first; then it is, as is what follows.
        (vec![Ok(3), full(), full(), Ok(1), Ok(7), Ok(7)], &each[..], "lin\nline 3\nline 4\n", 2),
        // Nothing is written of what is lost: nothing is torn.
        (vec![full(), Ok(0), Ok(7), Ok(7)], &each[..], "line 3\nline 4\n", 2),
        // Torn, and then nothing is taken behind the line feed: nothing is torn any more.
        (vec![Ok(3), full(), Ok(1), full(), Ok(7), Ok(7)], &each[..], "lin\nline 3\nline 4\n", 2),
        // Of lines that come together, those are lost that were not written to their end.
        (vec![Ok(7), full(), Ok(7)], &["line 1\nline 2\nline 3\n", each[3]], "line 1\nline 4\n", 2),
        (vec![Ok(9), full(), Ok(1), Ok(7)], &["line 1\nline 2\nline 3\n", each[3]], "line 1\nli\nline 4\n", 2),
    ] {
        assert_eq!(taken(results, given), (expected.to_owned(), lost), "{given:?}");
    }
}

#[test]
fn what_a_full_device_or_a_pipe_that_nobody_reads_any_more_does_not_take_is_counted() {
    let mut full = Output::new(OpenOptions::new().write(true).open("/dev/full").unwrap(), Arc::default());
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut broken = Output::new(writer, Arc::default());
    for _ in 0..50 {
        full.put(&b"a line\n".repeat(10));
        broken.put(&b"a line\n".repeat(10));
    }
    let lost = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    assert_eq!((lost(&full.lost), lost(&broken.lost)), (500, 500));
}

#[test]
fn a_slow_reader_of_what_does_not_block_gets_every_line() {
    const LINES: usize = 20_000;
    let (mut reader, writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    let lost = Arc::default();
    let mut output = Output::new(writer, Arc::clone(&lost));
    let writer = thread::spawn(move || {
        for tens in 0..LINES / 10 {
            let lines: Vec<_> = (0..10).map(|ones| format!("{:0100}\n", 10 * tens + ones)).collect();
            output.put(lines.concat().as_bytes());
        }
    });
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    writer.join().unwrap();
    assert!(text.lines().enumerate().all(|(number, line)| line == format!("{number:0100}")));
    assert_eq!((text.lines().count(), lost.load(Ordering::Relaxed)), (LINES, 0));
}
