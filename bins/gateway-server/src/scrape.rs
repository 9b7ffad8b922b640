//! `/metrics`: what Prometheus scrapes. No key is needed; it is where administrators come in if that is a place of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::resilience::BreakerState;
use gateway_core::{Ejections, Gateway, ProviderReport};
use gateway_reload::Reloader;
use gateway_store::UsageBook;
use gateway_telemetry::Format;
use gateway_telemetry::{CircuitState, DroppedLines, Metrics, ProviderReading, Readings, Reloads};
use gateway_traces::Traces;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

use crate::health_checks::{Finding, HealthChecks};

/// How long a scrape waits for its turn: as long as Prometheus waits for a scrape by default (`scrape_timeout`).
const PATIENCE: Duration = Duration::from_secs(10);

/// From the beginning of one writing to that of the next at least so many times as long as it took. Anybody may ask, and what is
/// asked for all the time must not take a worker from calls, nor memory for answers that nobody reads.
const PAUSES: u32 = 50;

/// The longest time between two: a Prometheus that asks every five seconds, and a second one beside it, are answered in time.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers scrapes.
#[derive(Clone)]
pub(crate) struct Scrape {
    sources: Arc<ScrapeSources>,
    /// What was written down last in each format. Who has one locked does so, and whoever has come before that gets the same.
    last: [Arc<Mutex<Option<Written>>>; Format::ALL.len()],
}

/// Metrics as they were written down.
struct Written {
    began: Instant,
    took: Duration,
    text: Bytes,
}

/// Where a scrape finds what there is to say.
pub(crate) struct ScrapeSources {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) gateway: Gateway,
    pub(crate) reloader: Reloader,
    pub(crate) checks: HealthChecks,
    pub(crate) dropped_lines: DroppedLines,
    /// None if traces go nowhere.
    pub(crate) traces: Option<Traces>,
    pub(crate) usage: Arc<UsageBook>,
}

impl Scrape {
    /// What answers from these.
    pub(crate) fn new(sources: ScrapeSources) -> Self {
        Self { sources: Arc::new(sources), last: Default::default() }
    }

    /// Whether a request is for it.
    pub(crate) fn handles(method: &Method, path: &str) -> bool {
        path == "/metrics" && matches!(*method, Method::GET | Method::HEAD)
    }

    /// The answer to a request with these headers.
    pub(crate) async fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let format = Format::accepted_by(accept);
        let (status, content_type, text) = match timeout(PATIENCE, self.write(format)).await {
            Ok(Ok(text)) => (StatusCode::OK, format.content_type(), text),
            Ok(Err(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, PLAIN, Bytes::from_static(b"The metrics cannot be written."))
            }
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, Bytes::from_static(b"Too many ask at once. Try again.")),
        };
        let mut response = Response::new(Full::new(text));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// The metrics as they are from now on.
    async fn write(&self, format: Format) -> Result<Bytes, JoinError> {
        let arrived = Instant::now();
        let mut last = Arc::clone(&self.last[format as usize]).lock_owned().await;
        if let Some(last) = last.as_ref() {
            if last.began >= arrived {
                return Ok(last.text.clone());
            }
            sleep_until(last.began + (last.took * PAUSES).min(LONGEST_PAUSE)).await;
        }
        let sources = Arc::clone(&self.sources);
        // With many keys there is much to write, and calls do not wait for that. Whoever asked may go meanwhile: the lock stays.
        let writing = spawn_blocking(move || {
            let began = Instant::now();
            let text = Bytes::from(sources.metrics.encode(format, &sources.readings()));
            *last = Some(Written { began, took: began.elapsed(), text: text.clone() });
            text
        });
        writing.await
    }
}

impl ScrapeSources {
    fn readings(&self) -> Readings {
        let status = self.reloader.status();
        let providers = self.gateway.providers();
        let providers = providers.iter().map(|provider| reading(provider, self.checks.finding(&provider.name)));
        Readings {
            config_version: status.version,
            reloads: Reloads { success: status.reloads.succeeded, failure: status.reloads.refused },
            queue_depth: self.gateway.waiting_calls() as u64,
            dropped_log_lines: self.dropped_lines.count() as u64,
            dropped_traces: self.traces.as_ref().map_or(0, Traces::dropped),
            pending_usage: self.usage.pending_requests(),
            providers: providers.collect(),
        }
    }
}

/// A provider is healthy if its calls and its checks, where there are any, come to something.
fn reading(provider: &ProviderReport, finding: Option<Finding>) -> ProviderReading {
    let Ejections { breaker, credential, rate_limit } = provider.ejections;
    ProviderReading {
        name: provider.name.clone(),
        is_healthy: provider.is_healthy() && finding.is_none_or(|finding| finding.failure.is_none()),
        circuit: circuit(provider),
        ejections: vec![("circuit_breaker", breaker), ("credential", credential), ("rate_limit", rate_limit)],
    }
}

/// A provider's circuit: that of its target which is worst off.
fn circuit(provider: &ProviderReport) -> CircuitState {
    let states = provider.targets.iter().map(|target| match target.breaker {
        BreakerState::Closed => CircuitState::Closed,
        BreakerState::HalfOpen => CircuitState::HalfOpen,
        BreakerState::Open { .. } => CircuitState::Open,
    });
    states.max().unwrap_or(CircuitState::Closed)
}
