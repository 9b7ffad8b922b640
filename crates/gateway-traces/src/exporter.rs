//! The one task that makes spans of calls and sends them.
//!
//! One batch is on its way at a time. While it is, calls gather in the queue, so a slow receiver gets fuller batches rather than more
//! requests, and memory is bounded by the queue and one batch. A batch that is too long for one request goes in several.

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
use crate::otlp::{
    ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans, Span,
};
use crate::settings::{Batching, SettingsError};
use crate::settled::SettledCall;
use crate::span::spans;
use crate::traces::Counts;

/// The most bytes of spans in one request. The OpenTelemetry Collector takes requests of 20 MiB (`max_request_body_size` of its
/// `confighttp`); what is left is for who reports.
const MOST_BYTES: usize = 16 * 1024 * 1024;

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
    /// What the settings are odd in, until it is told.
    oddity: Option<SettingsError>,
}

impl Exporter {
    pub(crate) fn new(
        mut settings: Settings,
        queue: mpsc::Receiver<SettledCall>,
        counts: Arc<Counts>,
    ) -> Result<Self, BuildError> {
        let resource = mem::take(&mut settings.resource);
        let attributes = resource.iter().map(|(name, value)| KeyValue::new(name, value.as_str())).collect();
        let (batching, oddity) = (settings.batching, settings.oddity.take());
        Ok(Self {
            queue,
            batch: Vec::with_capacity(batching.size),
            batching,
            resource: Resource { attributes },
            delivery: Delivery::new(settings)?,
            counts,
            journal: Journal::default(),
            oddity,
        })
    }

    /// Sends calls as they come, until all observers are gone or `shutdown` is over. What has been noted by then is still sent, for as
    /// long as `grace` after the `shutdown`; whatever is left then is dropped and counted. What is noted later is dropped.
    ///
    /// Needs a tokio runtime with time and I/O. Dropping the future stops at once and counts nothing.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send, grace: Duration) {
        // Only now: when settings are read, there may be no log yet.
        if let Some(oddity) = self.oddity.take() {
            tracing::warn!("{oddity}");
        }
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
            while !self.batch.is_empty() {
                self.send().await;
                self.journal.tell(self.counts.dropped.load(Ordering::Relaxed), Instant::now());
            }
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

    /// Sends as much of the batch as one request may hold.
    async fn send(&mut self) {
        let (spans, calls) = fit(&self.batch, MOST_BYTES);
        let outcome = self.delivery.deliver(&self.encode(spans)).await;
        self.batch.drain(..calls);
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

    fn encode(&self, spans: Vec<Span>) -> Bytes {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec().into()
    }
}

/// The spans of the first calls, as many as take no more than so many bytes, and how many calls that are: one at least.
fn fit(calls: &[SettledCall], most: usize) -> (Vec<Span>, usize) {
    let (mut fitting, mut bytes) = (Vec::new(), 0);
    for (number, call) in calls.iter().enumerate() {
        let before = fitting.len();
        fitting.extend(spans(call));
        bytes += fitting[before..].iter().map(message_length).sum::<usize>();
        if number > 0 && bytes > most {
            fitting.truncate(before);
            return (fitting, number);
        }
    }
    (fitting, calls.len())
}

/// What a message takes as part of another, where its tag takes a byte: its length goes before it.
fn message_length(message: &impl Message) -> usize {
    let length = message.encoded_len();
    1 + prost::length_delimiter_len(length) + length
}

#[cfg(test)]
mod tests {
    use std::future;
    use std::io::{Read, Seek};

    use gateway_call::Outcome;
    use proptest::prelude::*;

    use super::*;
    use crate::Traces;
    use crate::settled::samples::{attempt, call};

    fn spans_of(calls: &[SettledCall]) -> Vec<Span> {
        calls.iter().flat_map(spans).collect()
    }

    proptest! {
        #[test]
        fn no_request_is_too_long_and_nothing_is_left_out(
            attempts in prop::collection::vec(0_usize..5, 1..30),
            most in 0_usize..5_000,
        ) {
            let made = |count: &usize| call(200, vec![attempt(Outcome::Success, None); *count]);
            let calls: Vec<_> = attempts.iter().map(made).collect();
            let (mut rest, mut told) = (&calls[..], Vec::new());
            while !rest.is_empty() {
                let (spans, taken) = fit(rest, most);
                let length = ScopeSpans { scope: None, spans: spans.clone() }.encoded_len();
                prop_assert!(taken == 1 || length <= most, "{taken} calls in {length} bytes");
                if let Some(more) = rest.get(..=taken) {
                    let length = ScopeSpans { scope: None, spans: spans_of(more) }.encoded_len();
                    prop_assert!(length > most, "another would have fitted");
                }
                told.extend(spans);
                rest = &rest[taken..];
            }
            prop_assert_eq!(told, spans_of(&calls));
        }
    }

    #[tokio::test]
    async fn what_was_passed_over_is_told_once_there_is_a_log() {
        let variable = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://localhost:1".to_owned()),
            "OTEL_SDK_DISABLED" => Some("perhaps".to_owned()),
            _ => None,
        };
        let (traces, exporter) = Traces::new(Settings::from_env(&variable).unwrap().unwrap()).unwrap();
        drop(traces);
        let mut log = tempfile::tempfile().unwrap();
        let writer = Arc::new(log.try_clone().unwrap());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        exporter.run(future::pending(), Duration::ZERO).await;
        drop(guard);
        let mut text = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("OTEL_SDK_DISABLED: counts as false").count(), 1, "{text}");
        assert!(text.contains("WARN") && !text.contains("perhaps"), "{text}");
    }
}
