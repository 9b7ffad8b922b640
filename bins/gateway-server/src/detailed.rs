//! `/health/detailed`: how each part is doing, for whoever may call or administer.
//!
//! What is wrong with the configuration is for administrators alone: the texts name files, lines and what stands there, which
//! may be a credential in the wrong place. Callers are told that something is wrong, and so is everybody where no key is
//! asked for.

use bytes::Bytes;
use gateway_admin::{
    AdminService, BreakerStatus, CheckFinding, CheckStatus, DetailedConfig, DetailedHealth, DetailedLeftOut,
    DetailedProvider, DetailedTarget, GatewayStatus, LastFailure, ProviderStatus,
};
use gateway_config::LeftOut;
use gateway_core::resilience::BreakerState;
use gateway_core::{Gateway, ProviderReport, TargetReport};
use gateway_reload::{Reloader, Status};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

use crate::health_checks::{Finding, HealthChecks};

/// What callers are told in the place of an error.
const UNTOLD: &str = "the last change was refused";

/// Answers what it is asked of the process.
#[derive(Clone)]
pub(crate) struct Detailed {
    gateway: Gateway,
    reloader: Reloader,
    admin: AdminService,
    checks: HealthChecks,
}

impl Detailed {
    pub(crate) fn new(gateway: Gateway, reloader: Reloader, admin: AdminService, checks: HealthChecks) -> Self {
        Self { gateway, reloader, admin, checks }
    }

    /// Whether a request is for it.
    pub(crate) fn handles(method: &Method, path: &str) -> bool {
        path == "/health/detailed" && matches!(*method, Method::GET | Method::HEAD)
    }

    /// The answer to a request with these headers. It names providers and models, so it is for those who have a key.
    pub(crate) async fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let reader = if self.admin.knows(headers) {
            Reader::Administrator
        } else if self.gateway.knows_caller(headers).await {
            Reader::Caller
        } else {
            return refused(headers);
        };
        // Names are texts, so there is nothing in it that could not be written.
        let text = serde_json::to_string(&self.report(reader)).unwrap_or_default();
        json_response(StatusCode::OK, text)
    }

    fn report(&self, reader: Reader) -> DetailedHealth {
        let status = self.reloader.status();
        let conditions = self.gateway.conditions();
        let is_well = status.last_error.is_none()
            && status.left_out.is_empty()
            && conditions.iter().all(|condition| condition.is_serviceable());
        DetailedHealth {
            status: if is_well { GatewayStatus::Ok } else { GatewayStatus::Degraded },
            config: self.configuration(&status, reader),
            conditions: conditions.iter().map(|it| (it.name(), it.state())).collect(),
            providers: self.providers(),
        }
    }

    fn configuration(&self, status: &Status, reader: Reader) -> DetailedConfig {
        let last_error = status.last_error.as_ref().map(|error| match reader {
            Reader::Administrator => error.to_string(),
            Reader::Caller => UNTOLD.to_owned(),
        });
        let is_administrator = reader == Reader::Administrator;
        DetailedConfig {
            version: status.version,
            source: status.source,
            loaded_at: status.loaded_at,
            last_error,
            left_out_count: status.left_out.len(),
            left_out: is_administrator.then(|| status.left_out.iter().map(left_out_view).collect()),
            withheld_models: is_administrator.then(|| self.gateway.config().withheld_models.clone()),
        }
    }

    /// Every provider that is served, with its targets.
    fn providers(&self) -> Vec<DetailedProvider> {
        let providers = self.gateway.providers();
        providers.iter().map(|provider| provider_view(provider, self.checks.finding(&provider.name))).collect()
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Somebody with the admin key.
    Administrator,
    /// Somebody who may call.
    Caller,
}

fn left_out_view(left_out: &LeftOut) -> DetailedLeftOut {
    let LeftOut { kind, name, reason } = left_out;
    DetailedLeftOut { kind: kind.as_str(), name: name.clone(), problem: reason.to_string() }
}

fn provider_view(provider: &ProviderReport, finding: Option<Finding>) -> DetailedProvider {
    let failure = provider.last_failure;
    DetailedProvider {
        name: provider.name.to_string(),
        status: provider_status(provider, finding),
        last_error: failure.map(|(outcome, since)| LastFailure { class: outcome.name(), seconds_ago: since.as_secs() }),
        checked: finding.map(finding_view),
        targets: provider.targets.iter().map(target_view).collect(),
    }
}

/// What a check in the background has found. What the provider said is for administrators, and in the log.
fn finding_view(finding: Finding) -> CheckFinding {
    let status = if finding.failure.is_none() { CheckStatus::Ok } else { CheckStatus::Failed };
    CheckFinding { status, at: finding.at, error: finding.failure }
}

fn target_view(target: &TargetReport) -> DetailedTarget {
    let breaker = match target.breaker {
        BreakerState::Closed => BreakerStatus::Closed,
        BreakerState::Open { .. } => BreakerStatus::Open,
        BreakerState::HalfOpen => BreakerStatus::HalfOpen,
    };
    DetailedTarget { model: target.model.clone(), breaker, in_flight: target.in_flight }
}

/// How a provider is doing: `down` if no target is asked any more, `degraded` if not all of them are as usual or if the provider's
/// last health check failed, which keeps no call away. One that nobody has called or checked is `ok`.
fn provider_status(provider: &ProviderReport, finding: Option<Finding>) -> ProviderStatus {
    let has_failed = finding.is_some_and(|finding| finding.failure.is_some());
    if provider.targets.iter().all(|target| target.breaker == BreakerState::Closed) {
        if has_failed { ProviderStatus::Degraded } else { ProviderStatus::Ok }
    } else if !provider.is_healthy() {
        ProviderStatus::Down
    } else {
        ProviderStatus::Degraded
    }
}

/// The refusal, in the words of the gateway's own.
fn refused(headers: &HeaderMap) -> Response<Full<Bytes>> {
    let (code, message) = if presents_key(headers) {
        ("invalid_api_key", "The API key is not known here. Check it, or ask this gateway's administrator for another.")
    } else {
        (
            "missing_api_key",
            "The request carries no API key. Send `Authorization: Bearer KEY`, with the admin key or a caller's.",
        )
    };
    let error = json!({ "message": message, "type": "authentication_error", "code": code, "param": null });
    let mut response = json_response(StatusCode::UNAUTHORIZED, json!({ "error": error }).to_string());
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Whether there is a key in one of the places where the gateway looks for one, good or not.
fn presents_key(headers: &HeaderMap) -> bool {
    let token = |value: &HeaderValue| {
        let parts = value.as_bytes().split_at_checked(7);
        parts.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case(b"bearer ") && !token.trim_ascii().is_empty())
    };
    let named = ["x-api-key", "api-key"].into_iter().flat_map(|name| headers.get_all(name));
    headers.get_all(header::AUTHORIZATION).iter().any(token)
        || named.into_iter().any(|value| !value.as_bytes().trim_ascii().is_empty())
}

fn json_response(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
