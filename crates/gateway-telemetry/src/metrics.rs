//! What Prometheus scrapes.
//!
//! The decision: series belong to names of the configuration and to constants, and each is found before it is needed. A metrics
//! library that looks series up by their labels costs a call 800 instructions a family (`prometheus-client`'s `Family`, measured with
//! callgrind), and keeps what it has seen forever. Here a call makes one look-up, by numbers, for all the handles of its kind, and
//! each of its attempts another; an increment through a handle is 6 instructions. What is behind a look-up:
//!
//! - `family` lists the families. Each says once for every kind of call what it counts, and writes itself when somebody scrapes.
//! - `combination` holds what the families said, by kind, in a map that is read without a lock.
//! - `table` holds each family's series, by the values of their labels. Kinds that differ elsewhere share them.
//!
//! Nothing of this keeps a [`Label`](gateway_call::Label) alive: a scrape drops the series of names that are gone, and whoever takes
//! such a name again begins at zero. Until then they are not exported either. Keys times models can be many: see [`Metrics::MOST_COMBINATIONS`].
//!
//! Histograms are locked while a value is put in; nothing else on the path of a call waits for anything, and a kind of call that is
//! known allocates nothing. A call with one attempt takes 1,113 instructions from its arrival to its settlement, a streamed one
//! 1,526, however many keys there are (`just bench-micro --only metrics`).

mod attempt;
mod buckets;
mod call;
mod combination;
mod exposition;
mod family;
mod format;
mod name;
mod readings;
mod table;

use std::sync::Arc;

use gateway_call::{CallRecord, Event, Observer};

use attempt::AttemptKey;
use call::CallKey;
use combination::{Combination, Combinations, Constant};
use family::{CountArrival, CountAttempt, CountCall, Family};
pub use format::Format;
use name::{Names, Value};
pub use readings::{CircuitState, ProviderReading, Readings, Reloads};

/// More than there are paths served, which are constants.
const MOST_PATHS: usize = 64;

/// Counts calls for Prometheus.
///
/// ```
/// use gateway_telemetry::{Format, Metrics, Readings};
///
/// let metrics = Metrics::new();
/// let readings = Readings { config_version: 7, ..Readings::default() };
/// let text = metrics.encode(Format::accepted_by(None), &readings);
/// assert!(text.contains("llm_proxy_config_version 7\n"));
/// ```
pub struct Metrics {
    families: Arc<[Box<dyn Family>]>,
    names: Names,
    arrivals: Combinations<Constant, CountArrival>,
    calls: Combinations<CallKey, CountCall>,
    attempts: Combinations<AttemptKey, CountAttempt>,
}

impl Metrics {
    /// How many kinds of calls, and how many of attempts, are told apart. Calls of further kinds are counted all the same, with
    /// `other` for the names of their key and their model. Those of names that are gone make room at the next scrape.
    pub const MOST_COMBINATIONS: usize = 100_000;

    /// Metrics that have counted nothing.
    pub fn new() -> Self {
        Self::with_room_for(Self::MOST_COMBINATIONS)
    }

    /// The same with room for so many combinations.
    pub fn with_room_for(most: usize) -> Self {
        Self {
            families: Arc::new(family::all()),
            names: Names::default(),
            arrivals: Combinations::new(MOST_PATHS),
            calls: Combinations::new(most),
            attempts: Combinations::new(most),
        }
    }

    /// All metrics as text, without what belongs to names that are gone; that is forgotten. Calls go on meanwhile, but whoever
    /// has ten thousands of keys should not do this where calls are served.
    pub fn encode(&self, format: Format, readings: &Readings) -> String {
        let text = exposition::expose(Arc::clone(&self.families), format, readings);
        self.calls.sweep();
        self.attempts.sweep();
        self.names.sweep();
        text
    }

    fn arrived(&self, path: &'static str) {
        let begin = |_| {
            let endpoint = Value::Constant(path);
            Combination::new(Box::default(), self.families.iter().filter_map(|family| family.arrival(&endpoint)))
        };
        self.arrivals.count(Constant(path), begin, |count| count());
    }

    fn settled(&self, call: &CallRecord<'_>) {
        let begin = |key: CallKey| {
            let kind = key.kind(call, &self.names);
            Combination::new(kind.values(), self.families.iter().filter_map(|family| family.call(&kind)))
        };
        self.calls.count(CallKey::of(call), begin, |count| count(call));
        for (place, attempt) in call.attempts.iter().enumerate() {
            let begin = |key: AttemptKey| {
                let kind = key.kind(attempt, &self.names);
                Combination::new(kind.values(), self.families.iter().filter_map(|family| family.attempt(&kind)))
            };
            let key = AttemptKey::of(attempt, call.attempts, place);
            self.attempts.count(key, begin, |count| count(attempt));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Metrics {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::Arrived { path } => self.arrived(path),
            Event::Settled(call) => self.settled(call),
            _ => {}
        }
    }
}
