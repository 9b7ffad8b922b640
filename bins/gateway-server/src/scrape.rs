//! `/metrics`: what Prometheus scrapes. No key is needed; it is where administrators come in if that is a place of its own.

use std::sync::Arc;

use bytes::Bytes;
use gateway_core::call::Label;
use gateway_core::resilience::BreakerState;
use gateway_core::{Ejections, Gateway, ProviderReport};
use gateway_reload::Reloader;
use gateway_telemetry::Format;
use gateway_telemetry::{CircuitState, DroppedLines, Metrics, ProviderReading, Readings, Reloads};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use tokio::task::spawn_blocking;

use crate::health_checks::{Finding, HealthChecks};

/// Answers scrapes.
#[derive(Clone)]
pub(crate) struct Scrape {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) gateway: Gateway,
    pub(crate) reloader: Reloader,
    pub(crate) dropped_lines: DroppedLines,
    pub(crate) checks: HealthChecks,
}

impl Scrape {
    /// Whether a request is for it.
    pub(crate) fn handles(method: &Method, path: &str) -> bool {
        path == "/metrics" && matches!(*method, Method::GET | Method::HEAD)
    }

    /// The answer to a request with these headers.
    pub(crate) async fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let format = Format::accepted_by(accept);
        let scrape = self.clone();
        // With many keys there is much to write, and calls do not wait for that.
        let encoded = spawn_blocking(move || scrape.metrics.encode(format, &scrape.readings())).await;
        let status = if encoded.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        let mut response = Response::new(Full::new(Bytes::from(encoded.unwrap_or_default())));
        *response.status_mut() = status;
        let content_type = HeaderValue::from_static(format.content_type());
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }

    fn readings(&self) -> Readings {
        let status = self.reloader.status();
        let providers = self.gateway.providers();
        let providers = providers.iter().map(|provider| reading(provider, self.checks.finding(&provider.name)));
        Readings {
            config_version: status.version,
            reloads: Reloads { success: status.reloads.succeeded, failure: status.reloads.refused },
            queue_depth: self.gateway.waiting_calls() as u64,
            dropped_log_lines: self.dropped_lines.count() as u64,
            providers: providers.collect(),
        }
    }
}

/// A provider is healthy if its calls and its checks, where there are any, come to something.
fn reading(provider: &ProviderReport, finding: Option<Finding>) -> ProviderReading {
    let Ejections { breaker, credential, rate_limit } = provider.ejections;
    ProviderReading {
        name: Label::of(&provider.name),
        is_healthy: provider.is_healthy() && finding.is_none_or(|finding| finding.failure.is_none()),
        circuit: circuit(provider),
        ejections: vec![("circuit_breaker", breaker), ("credential", credential), ("rate_limit", rate_limit)],
    }
}

/// A provider's circuit: open if that of every target is, closed if every one is.
fn circuit(provider: &ProviderReport) -> CircuitState {
    if !provider.is_healthy() {
        CircuitState::Open
    } else if provider.targets.iter().all(|target| target.breaker == BreakerState::Closed) {
        CircuitState::Closed
    } else {
        CircuitState::HalfOpen
    }
}
