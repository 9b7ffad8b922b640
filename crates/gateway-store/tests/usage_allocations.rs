//! To count a call allocates nothing, however often what was counted is taken away to be written.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use gateway_call::{CallRecord, Event, Label, Observer, RequestId, Tokens, Usage};
use gateway_keystore::{StoreFuture, UsageBatch, UsageFlush, UsageLedger, UsagePage, UsageQuery};
use gateway_store::{UsageBook, UsageWriter};
use jiff::Timestamp;
use tokio::runtime::Builder;

/// A store that takes everything.
struct Willing;

impl UsageLedger for Willing {
    fn add_usage<'a>(&'a self, _: &'a UsageBatch) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn usage<'a>(&'a self, _: &'a UsageQuery) -> StoreFuture<'a, UsagePage> {
        Box::pin(async { Ok(UsagePage::default()) })
    }

    fn forget_usage(&self, _: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn call(book: &UsageBook, request_id: &RequestId, key: &Label) {
    book.on_event(&Event::Arrived { path: "/v1/chat/completions" });
    book.on_event(&Event::Settled(&CallRecord {
        request_id,
        trace: None,
        method: "POST",
        path: "/v1/chat/completions",
        endpoint: None,
        key: Some(key),
        model: Some("big"),
        entry: Some(key),
        status: 200,
        error: None,
        refused_by: None,
        stream: false,
        attempts: &[],
        answering: None,
        tokens: Some(Tokens { usage: Usage { prompt: 9, completion: 3, cached: 0 }, is_estimated: true }),
        cost_nano_usd: 12_500,
        tags: &[],
        duration: Duration::from_millis(60),
        first_byte: None,
        overhead: Duration::from_micros(42),
        bytes_out: 99,
    }));
}

#[test]
fn a_known_kind_of_call_is_counted_without_allocating() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let book = Arc::<UsageBook>::default();
        let writer = UsageWriter::start(Arc::clone(&book), Arc::new(Willing));
        assert!(writer.flush().await, "it writes at once when it starts, and every few seconds from then on");
        let request_id = RequestId::from_random(1);
        let keys: Vec<_> = (0..100).map(|number| Label::of(&format!("key-{number}"))).collect();
        let everybody = || keys.iter().for_each(|key| call(&book, &request_id, key));
        let first = measure(everybody);
        assert!(first.count_total > 0, "the first of its kind is not free, or else nothing is measured");
        for _ in 0..10 {
            assert_eq!(measure(|| (0..10).for_each(|_| everybody())).count_total, 0);
            assert!(writer.flush().await, "all of it is taken away");
        }
        assert_eq!(measure(everybody).count_total, 0, "and there is room for as much");
    });
}
