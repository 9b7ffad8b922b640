//! Who is told of calls: the access log, metrics, the book of usage, and whoever collects traces.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gateway_config::Config;
use gateway_core::GatewayBuilder;
use gateway_core::call::Observer;
use gateway_store::UsageBook;
use gateway_telemetry::{AccessLog, LogGuard, Metrics, Observers};
use gateway_traces::{Exporter, Settings, Traces};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long spans that are still queued may take to leave when the process ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// Everybody who is told.
pub(crate) struct Observation {
    pub(crate) metrics: Arc<Metrics>,
    /// What calls take, until it is written to the store.
    pub(crate) usage: Arc<UsageBook>,
    traces: Option<(Traces, Exporter)>,
}

/// The export of traces, while it runs.
pub(crate) struct Exporting {
    traces: Traces,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Observation {
    /// Nobody has been told of anything. Where traces go, the environment says, as OpenTelemetry has it.
    pub(crate) fn new(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let traces = Settings::from_env(variable)?.map(Traces::new).transpose();
        let traces = traces.context("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        Ok(Self { metrics: Arc::default(), usage: Arc::default(), traces })
    }

    /// Has a gateway tell everybody.
    pub(crate) fn equip(&self, builder: GatewayBuilder, config: &Config, log: &LogGuard) -> GatewayBuilder {
        let mut observers: Vec<Arc<dyn Observer>> = vec![
            Arc::new(AccessLog::new(log).sampled(config.logging.sample)),
            Arc::<Metrics>::clone(&self.metrics),
            // It counts only while somebody writes it to a store.
            Arc::<UsageBook>::clone(&self.usage),
        ];
        let Some((traces, _)) = &self.traces else { return builder.observer(Arc::new(Observers::new(observers))) };
        observers.push(Arc::new(traces.clone()));
        let sampler = traces.sampler();
        builder
            .observer(Arc::new(Observers::new(observers)))
            .trace_calls(move |trace, parent| sampler.samples(trace, parent))
    }

    /// Begins to export traces, if they go anywhere.
    pub(crate) fn export(&mut self) -> Option<Exporting> {
        let (traces, exporter) = self.traces.take()?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(exporter.run(stop.clone().cancelled_owned(), FAREWELL));
        Some(Exporting { traces, stop, task })
    }
}

impl Exporting {
    /// Who counts what is lost.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Sends what is still queued, within a few seconds. Returns how many calls were not exported in all.
    pub(crate) async fn stop(self) -> u64 {
        self.stop.cancel();
        // It ends by itself, and what is lost is counted.
        let _ = self.task.await;
        self.traces.dropped()
    }
}
