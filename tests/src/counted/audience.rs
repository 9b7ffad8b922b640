//! Who is told of calls, put together as the server does it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gateway_core::GatewayBuilder;
use gateway_core::call::Observer;
use gateway_store::UsageBook;
use gateway_telemetry::{AccessLog, LineFormat, LogGuard, Metrics, Observers, start_logging};
use gateway_traces::{Settings, Traces};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// How long the last spans may take to leave. Under callgrind everything takes fifty times as long.
const FAREWELL: Duration = Duration::from_mins(1);

/// Which observers there are; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// The metrics.
    pub metrics: bool,
    /// The access log, as JSON on standard error.
    pub log: bool,
    /// The book of usage, with nobody who writes what it holds.
    pub usage: bool,
    /// The export of traces, and whether it records those of the calls.
    pub traces: Option<bool>,
}

impl Told {
    /// Those that every server has.
    pub fn all_but_traces() -> Self {
        Self { metrics: true, log: true, usage: true, traces: None }
    }

    /// All there are.
    pub fn all() -> Self {
        Self { traces: Some(true), ..Self::all_but_traces() }
    }
}

/// Observers at work, with the threads behind them.
pub struct Audience {
    /// All of them.
    pub observer: Arc<dyn Observer>,
    told: Told,
    log: Option<LogGuard>,
    export: Option<Export>,
}

/// The thread that makes spans and sends them.
struct Export {
    traces: Traces,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl Audience {
    /// Those who are told, where spans go to `receiver`, an address with a port. A process can have one that has the log.
    pub fn of(told: Told, receiver: &str) -> Self {
        let log = told.log.then(|| start_logging(LineFormat::Json, true, None).expect("the first log"));
        let export = told.traces.map(|is_sampled| Export::start(is_sampled, receiver));
        let observers = [
            log.as_ref().map(|log| Arc::new(AccessLog::new(log)) as Arc<dyn Observer>),
            told.metrics.then(|| Arc::new(Metrics::new()) as _),
            told.usage.then(|| Arc::new(opened()) as _),
            export.as_ref().map(|export| Arc::new(export.traces.clone()) as _),
        ];
        Self { observer: Arc::new(Observers::new(observers.into_iter().flatten())), told, log, export }
    }

    /// Has a gateway tell them.
    pub fn equip(&self, builder: GatewayBuilder) -> GatewayBuilder {
        if self.told == Told::default() {
            return builder;
        }
        let builder = builder.observer(Arc::clone(&self.observer));
        let Some(export) = &self.export else { return builder };
        let sampler = export.traces.sampler();
        builder.trace_calls(move |trace, parent| sampler.samples(trace, parent))
    }

    /// Waits for everything to be written and sent, and fails if anything was dropped on the way.
    pub fn dismiss(self) {
        if let Some(log) = &self.log {
            assert_eq!(log.dropped_lines().count(), 0, "a line that is dropped takes less");
        }
        if let Some(Export { traces, stop, thread }) = self.export {
            stop.cancel();
            thread.join().expect("it ends by itself");
            assert_eq!(traces.dropped(), 0, "a span that is dropped takes less");
        }
    }
}

impl Export {
    fn start(is_sampled: bool, receiver: &str) -> Self {
        let variable = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(format!("http://{receiver}")),
            "OTEL_TRACES_SAMPLER" => Some(if is_sampled { "always_on" } else { "always_off" }.to_owned()),
            // Room for all of them: calls come faster than they ever would.
            "OTEL_BSP_MAX_QUEUE_SIZE" => Some("16384".to_owned()),
            _ => None,
        };
        let settings = Settings::from_env(&variable).expect("what is written above").expect("there is an endpoint");
        let (traces, exporter) = Traces::new(settings).expect("a client");
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(exporter.run(stopped, FAREWELL));
        });
        Self { traces, stop, thread }
    }
}

/// A book that counts: it does so once somebody writes what it holds.
fn opened() -> UsageBook {
    let book = UsageBook::default();
    book.open();
    book
}
