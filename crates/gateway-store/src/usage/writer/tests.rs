//! Whatever the store does, what was counted is in it once.

use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::io;

use gateway_keystore::{StoreFuture, UsagePage, UsageQuery, UsageSlot, UsageSums};
use proptest::prelude::*;

use super::*;
use crate::usage::book::tests::{Sample, samples, summed};

/// What a store does with a batch that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    /// Nothing is written.
    Refuses,
    /// It is written, and the answer does not arrive.
    Swallows,
    /// Nobody will ever know.
    IsSilent,
}

/// A store in memory that keeps the contract of [`UsageLedger`].
#[derive(Default)]
struct Shaky {
    /// What it does next; afterwards it takes everything.
    moods: Mutex<VecDeque<Mood>>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    rows: BTreeMap<UsageSlot, UsageSums>,
    writers: BTreeMap<Arc<str>, i64>,
    most_rows: usize,
    forgotten: Vec<Timestamp>,
}

impl Shaky {
    fn of(moods: impl IntoIterator<Item = Mood>) -> Arc<Self> {
        Arc::new(Self { moods: Mutex::new(moods.into_iter().collect()), ..Self::default() })
    }

    fn rows(&self) -> BTreeMap<UsageSlot, UsageSums> {
        self.held.lock().rows.clone()
    }

    fn add(&self, batch: &UsageBatch) {
        let mut held = self.held.lock();
        held.most_rows = held.most_rows.max(batch.rows.len());
        let last = held.writers.entry(Arc::clone(&batch.writer)).or_default();
        if *last < batch.number {
            *last = batch.number;
            for (slot, more) in &batch.rows {
                *held.rows.entry(slot.clone()).or_default() += *more;
            }
        }
    }
}

impl UsageLedger for Shaky {
    fn add_usage<'a>(&'a self, batch: &'a UsageBatch) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mood = self.moods.lock().pop_front().unwrap_or(Mood::Takes);
            if matches!(mood, Mood::Takes | Mood::Swallows) {
                self.add(batch);
            }
            let source = || io::Error::other("a test").into();
            match mood {
                Mood::Takes => Ok(()),
                Mood::Refuses => Err(StoreError::Refused { source: source() }),
                Mood::Swallows => Err(StoreError::Unavailable { source: source() }),
                Mood::IsSilent => pending().await,
            }
        })
    }

    fn usage<'a>(&'a self, _: &'a UsageQuery) -> StoreFuture<'a, UsagePage> {
        unimplemented!("nobody asks")
    }

    fn forget_usage(&self, before: Timestamp) -> StoreFuture<'_, ()> {
        self.held.lock().forgotten.push(before);
        Box::pin(async { Ok(()) })
    }
}

/// Time passes as soon as everybody waits for it.
fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
}

fn start(store: &Arc<Shaky>) -> (Arc<UsageBook>, UsageWriter) {
    let book = Arc::<UsageBook>::default();
    let writer = UsageWriter::start(Arc::clone(&book), Arc::clone(store) as _);
    (book, writer)
}

proptest! {
    #[test]
    fn what_was_counted_is_written_once(
        rounds in proptest::collection::vec(samples(), 1..6),
        moods in proptest::collection::vec(prop_oneof![Just(Mood::Takes), Just(Mood::Refuses), Just(Mood::Swallows)], 0..8),
    ) {
        let store = Shaky::of(moods);
        run(async {
            let (book, writer) = start(&store);
            for round in &rounds {
                for sample in round {
                    sample.count(&book);
                }
                writer.flush().await;
            }
            while !writer.flush().await {}
            writer.stop().await;
        });
        prop_assert_eq!(store.rows(), summed(rounds.iter().flatten().map(Sample::row)));
    }
}

#[test]
fn it_writes_without_being_asked_and_forgets_once_a_day() {
    let store = Shaky::of([]);
    run(async {
        let (book, _writer) = start(&store);
        Sample::default().count(&book);
        tokio::time::sleep(WRITE * 2).await;
        assert_eq!(store.rows().len(), 1);
        tokio::time::sleep(FORGET * 2).await;
        let forgotten = store.held.lock().forgotten.clone();
        assert_eq!(forgotten.len(), 3);
        let age = Timestamp::now().duration_since(forgotten[0]);
        assert!((KEPT..KEPT + SignedDuration::from_mins(1)).contains(&age), "{age:?}");
    });
}

/// What happens, and the lines of the log that say what was lost.
fn told(work: impl Future<Output = ()>) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || run(work));
    let text = String::from_utf8(lines.0.lock().clone()).unwrap();
    text.lines().filter(|line| line.contains("is lost")).map(str::to_owned).collect()
}

#[test]
fn who_flushes_does_not_wait_for_ever() {
    let store = Shaky::of([Mood::Refuses, Mood::IsSilent]);
    run(async {
        let (book, writer) = start(&store);
        assert!(writer.flush().await, "there is nothing to write");
        Sample::default().count(&book);
        let began = Instant::now();
        assert!(!writer.flush().await, "refused");
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(!writer.flush().await, "silent");
        assert_eq!(began.elapsed(), FLUSH);
    });
}

#[test]
fn who_stops_does_not_wait_for_ever_and_is_told_how_much_is_lost() {
    for is_writing in [true, false] {
        let store = Shaky::of([Mood::IsSilent, Mood::IsSilent]);
        let lines = told(async {
            let (book, writer) = start(&store);
            assert!(writer.flush().await, "it writes at once when it starts");
            Sample::default().count(&book);
            if is_writing {
                assert!(!writer.flush().await);
            }
            // Not in the batch that the store is silent about, if there is one.
            Sample { minute: 60, ..Sample::default() }.count(&book);
            let began = Instant::now();
            let lost = writer.stop();
            let later = async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Sample { minute: 120, ..Sample::default() }.count(&book);
            };
            let (lost, ()) = tokio::join!(lost, later);
            assert_eq!((lost, began.elapsed()), (3, FAREWELL));
            assert_eq!((writer.stop().await, began.elapsed()), (3, FAREWELL), "it has stopped");
            assert!(!writer.flush().await, "it has stopped");
            assert!(store.rows().is_empty());
        });
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.contains(" WARN ") && line.contains("requests=3"), "{line}");
    }
}

#[test]
fn what_was_counted_while_the_store_was_slow_is_written_when_it_stops() {
    let store = Shaky::of([Mood::Refuses]);
    let lines = told(async {
        let (book, writer) = start(&store);
        assert!(writer.flush().await, "it writes at once when it starts");
        Sample::default().count(&book);
        assert!(!writer.flush().await, "refused");
        Sample { minute: 60, ..Sample::default() }.count(&book);
        assert_eq!(writer.stop().await, 0);
    });
    assert_eq!((store.rows().len(), lines), (2, vec![]));
}

#[test]
fn what_the_store_has_not_taken_can_be_seen() {
    let store = Shaky::of([Mood::Refuses, Mood::Swallows, Mood::Takes, Mood::Takes, Mood::IsSilent]);
    run(async {
        let (book, writer) = start(&store);
        assert!(writer.flush().await, "it writes at once when it starts");
        let count = |minute| Sample { minute, ..Sample::default() }.count(&book);
        count(0);
        assert_eq!(book.pending_requests(), 0, "nobody has tried to write it");
        // The last is not over, so it has not been refused.
        for (minute, expected) in [(60, 2), (60, 3), (0, 0), (0, 0)] {
            count(minute);
            writer.flush().await;
            assert_eq!(book.pending_requests(), expected);
        }
    });
}

#[test]
fn the_book_counts_for_as_long_as_it_is_written() {
    let store = Shaky::of([]);
    run(async {
        let book = Arc::<UsageBook>::default();
        Sample::default().count(&book);
        let writer = UsageWriter::start(Arc::clone(&book), Arc::clone(&store) as _);
        assert!(writer.flush().await && store.rows().is_empty(), "nobody was there to take it");
        Sample::default().count(&book);
        assert!(writer.flush().await);
        drop(writer);
        tokio::task::yield_now().await;
        Sample::default().count(&book);
        assert!(book.take().is_empty());
    });
    assert_eq!(store.rows(), summed([Sample::default().row()]));
}

#[test]
fn it_stops_once_everything_is_written() {
    let store = Shaky::of([]);
    run(async {
        let (book, writer) = start(&store);
        let began = Instant::now();
        for minute in (0..5_000).map(|hour| hour * 60) {
            Sample { minute, ..Sample::default() }.count(&book);
        }
        let lost = writer.stop().await;
        assert_eq!((lost, store.rows().len(), began.elapsed()), (0, 5_000, Duration::ZERO));
    });
    assert_eq!(store.held.lock().most_rows, MOST_ROWS, "a piece at a time");
}
