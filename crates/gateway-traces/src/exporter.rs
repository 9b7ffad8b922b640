//! The one task that makes spans of calls and sends them.
//!
//! One batch is on its way at a time. While it is, calls gather in the queue, so a slow receiver gets fuller batches rather than more
//! requests, and memory is bounded by the queue and one batch.

use std::future::Future;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateway_upstream::BuildError;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::Settings;
use crate::delivery::Delivery;
use crate::journal::Journal;
use crate::otlp::{ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans};
use crate::settings::Batching;
use crate::settled::SettledCall;
use crate::span::spans;
use crate::traces::Counts;

/// Sends what a [`Traces`](crate::Traces) notes.
#[derive(Debug)]
pub struct Exporter {
    queue: mpsc::Receiver<SettledCall>,
    /// Out of the queue, and neither taken by the receiver nor given up.
    batch: Vec<SettledCall>,
    batching: Batching,
    resource: Resource,
    delivery: Delivery,
    counts: Arc<Counts>,
    journal: Journal,
}

impl Exporter {
    pub(crate) fn new(
        mut settings: Settings,
        queue: mpsc::Receiver<SettledCall>,
        counts: Arc<Counts>,
    ) -> Result<Self, BuildError> {
        let resource = mem::take(&mut settings.resource);
        let attributes = resource.iter().map(|(name, value)| KeyValue::new(name, value.as_str())).collect();
        let batching = settings.batching;
        Ok(Self {
            queue,
            batch: Vec::with_capacity(batching.size),
            batching,
            resource: Resource { attributes },
            delivery: Delivery::new(settings)?,
            counts,
            journal: Journal::default(),
        })
    }

    /// Sends calls as they come, until all observers are gone or `shutdown` is over. What has been noted by then is still sent, for as
    /// long as `grace` after the `shutdown`; whatever is left then is dropped and counted. What is noted later is dropped.
    ///
    /// Needs a tokio runtime with time and I/O. Dropping the future stops at once and counts nothing.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send, grace: Duration) {
        let stop = CancellationToken::new();
        {
            let mut sending = pin!(self.send_until(&stop));
            tokio::select! {
                () = &mut sending => {}
                () = shutdown => {
                    stop.cancel();
                    // Whatever was not sent in time is counted below.
                    drop(timeout(grace, sending).await);
                }
            }
        }
        self.queue.close();
        let left = self.batch.len() + self.queue.len();
        self.count(|counts| &counts.dropped, left);
        self.journal.tell_all(self.counts.dropped.load(Ordering::Relaxed), Instant::now());
    }

    /// Sends batch after batch until there is none left and none to come.
    async fn send_until(&mut self, stop: &CancellationToken) {
        while self.gather(stop).await {
            self.send().await;
            self.journal.tell(self.counts.dropped.load(Ordering::Relaxed), Instant::now());
        }
    }

    /// Fills the batch, or as much of it as comes in time; says whether there is anything in it.
    async fn gather(&mut self, stop: &CancellationToken) -> bool {
        let mut due = None;
        loop {
            let room = self.batching.size - self.batch.len();
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.queue.is_closed() => self.queue.close(),
                count = self.queue.recv_many(&mut self.batch, room) => {
                    if count == 0 || count == room {
                        return !self.batch.is_empty();
                    }
                    due.get_or_insert_with(|| Instant::now() + self.batching.delay);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => return true,
            }
        }
    }

    async fn send(&mut self) {
        let outcome = self.delivery.deliver(&self.encode()).await;
        let calls = self.batch.len();
        self.batch.clear();
        match outcome {
            Ok(rejected) => {
                self.journal.note_rejected(rejected);
                self.count(|counts| &counts.exported, calls);
            }
            Err(error) => {
                self.journal.note_failure(error);
                self.count(|counts| &counts.dropped, calls);
            }
        }
    }

    fn count(&self, which: impl FnOnce(&Counts) -> &AtomicU64, calls: usize) {
        which(&self.counts).fetch_add(calls as u64, Ordering::Relaxed);
    }

    fn encode(&self) -> Bytes {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let spans = self.batch.iter().flat_map(spans).collect();
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec().into()
    }
}
