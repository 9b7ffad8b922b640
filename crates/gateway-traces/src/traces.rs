//! What observes calls, and how much of it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use gateway_call::{CallRecord, Event, Observer};
use gateway_upstream::BuildError;
use tokio::sync::mpsc;

use crate::settled::SettledCall;
use crate::{Exporter, Sampler, Settings};

/// Notes settled calls for an [`Exporter`]. Clones note for the same one, which ends once all of them are gone.
#[derive(Debug, Clone)]
pub struct Traces {
    queue: mpsc::Sender<SettledCall>,
    sampler: Sampler,
    counts: Arc<Counts>,
}

/// What became of the calls that were to be traced.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) exported: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl Traces {
    /// An observer, and what sends what it notes. Nothing is sent, and no connection is made, until the exporter runs.
    ///
    /// # Errors
    ///
    /// If the gateway's client cannot be set up, see [`BuildError`].
    pub fn new(settings: Settings) -> Result<(Self, Exporter), BuildError> {
        let (sender, receiver) = mpsc::channel(settings.batching.queue);
        let (sampler, counts) = (settings.sampler, Arc::<Counts>::default());
        let exporter = Exporter::new(settings, receiver, Arc::clone(&counts))?;
        Ok((Self { queue: sender, sampler, counts }, exporter))
    }

    /// Which traces the environment wants recorded, for whoever begins and continues them.
    pub fn sampler(&self) -> Sampler {
        self.sampler
    }

    /// How many calls' spans a receiver has taken.
    pub fn exported(&self) -> u64 {
        self.counts.exported.load(Ordering::Relaxed)
    }

    /// How many traces were lost, each with all the spans of a call: the queue was full, no receiver took them in time, or the process
    /// stopped before one did. Never falls, takes no lock, and can be asked at any time.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    fn note(&self, record: &CallRecord<'_>) {
        let Some(trace) = record.trace.filter(|trace| trace.own.is_sampled()) else { return };
        #[expect(clippy::disallowed_methods, reason = "spans are placed by the calendar")]
        let ended = SystemTime::now();
        if self.queue.try_send(SettledCall::new(record, trace, ended)).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Takes one copy of a call's record. Never waits: what does not fit is dropped and counted.
impl Observer for Traces {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(record) = event {
            self.note(record);
        }
    }
}
