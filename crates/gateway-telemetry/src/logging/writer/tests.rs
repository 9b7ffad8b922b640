use std::io::{BufRead as _, BufReader, PipeReader};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::captured::Lines;
use crate::logging::queue::Due;

/// A log with nothing in it, that writes there, and what is lost of it.
fn started(to: impl Write + Send + 'static) -> (Arc<Queue>, Writer, Arc<AtomicUsize>) {
    let lost = Arc::<AtomicUsize>::default();
    let queue = Arc::new(Queue::new(Arc::clone(&lost)));
    let writer = Writer::start(Arc::clone(&queue), Output::new(to, Arc::clone(&lost))).unwrap();
    (queue, writer, lost)
}

fn lines_of(reader: PipeReader) -> impl Iterator<Item = String> {
    BufReader::new(reader).lines().map(Result::unwrap)
}

#[test]
fn what_waits_is_written_before_the_end() {
    let lines = Lines::default();
    let (queue, writer, lost) = started(lines.clone());
    let given: Vec<_> = (0..1_000).map(|number| format!("{number}\n")).collect();
    for line in &given {
        queue.append(line.as_bytes(), Due::Soon);
    }
    drop(writer);
    assert_eq!((lines.text(), lost.load(Ordering::Relaxed)), (given.concat(), 0));
    queue.append(b"too late\n", Due::Now);
    assert_eq!(lost.load(Ordering::Relaxed), 1);
}

#[test]
fn lines_of_many_threads_stay_whole_and_in_order() {
    const THREADS: usize = 8;
    const LINES: usize = 5_000;
    let (reader, pipe) = std::io::pipe().unwrap();
    let (queue, writer, lost) = started(pipe);
    let reader = thread::spawn(move || lines_of(reader).collect::<Vec<_>>());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..LINES {
                    let due = if number % 100 == thread { Due::Now } else { Due::Soon };
                    // Of many lengths.
                    let line = format!("{thread} {number} {}\n", "x".repeat(number % 60));
                    queue.append(line.as_bytes(), due);
                }
            });
        }
    });
    drop(writer);
    let lines = reader.join().unwrap();
    assert_eq!((lines.len(), lost.load(Ordering::Relaxed)), (THREADS * LINES, 0));
    let mut next = [0; THREADS];
    for line in lines {
        let [thread, number, rest] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (thread, number): (usize, usize) = (thread.parse().unwrap(), number.parse().unwrap());
        assert_eq!((number, rest.len()), (next[thread], number % 60), "{line}");
        next[thread] += 1;
    }
}

#[test]
fn a_reader_that_does_not_read_loses_lines_and_holds_up_nobody_not_even_the_end() {
    let (reader, pipe) = std::io::pipe().unwrap();
    let (queue, writer, lost) = started(pipe);
    let line = [&[b'x'; 999][..], b"\n"].concat();
    let mut appended = 0;
    while lost.load(Ordering::Relaxed) < 1_000 {
        queue.append(&line, Due::Soon);
        appended += 1;
    }
    drop(writer);
    // It reads after all.
    drop(queue);
    let read = lines_of(reader).inspect(|line| assert_eq!(line.len(), 999)).count();
    assert_eq!(read + lost.load(Ordering::Relaxed), appended, "a line is lost whole or not at all");
}

#[test]
fn a_log_that_cannot_be_written_loses_lines_and_holds_up_nobody() {
    let (reader, pipe) = std::io::pipe().unwrap();
    drop(reader);
    let (queue, writer, lost) = started(pipe);
    for _ in 0..500 {
        queue.append(b"a line\n", Due::Soon);
    }
    drop(writer);
    assert_eq!(lost.load(Ordering::Relaxed), 500);
}
