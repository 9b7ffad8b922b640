//! `/health/detailed`: how each part is doing, for whoever may call or administer.

use std::collections::BTreeMap;

use bytes::Bytes;
use gateway_admin::AdminService;
use gateway_core::Gateway;
use gateway_core::resilience::BreakerState;
use gateway_reload::{Reloader, Status};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// Answers what it is asked of the process.
#[derive(Clone)]
pub(crate) struct Detailed {
    gateway: Gateway,
    reloader: Reloader,
    admin: AdminService,
}

impl Detailed {
    pub(crate) fn new(gateway: Gateway, reloader: Reloader, admin: AdminService) -> Self {
        Self { gateway, reloader, admin }
    }

    /// Whether a request is for it.
    pub(crate) fn handles(method: &Method, path: &str) -> bool {
        path == "/health/detailed" && matches!(*method, Method::GET | Method::HEAD)
    }

    /// The answer to a request with these headers. It names providers and models, so it is for those who have a key.
    pub(crate) async fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        if self.admin.knows(headers) || self.gateway.knows_caller(headers).await {
            return json_response(StatusCode::OK, &self.report());
        }
        let message = "This takes the admin key or a caller's key. Send `Authorization: Bearer KEY`.";
        let error =
            json!({ "message": message, "type": "authentication_error", "code": "invalid_api_key", "param": null });
        let mut response = json_response(StatusCode::UNAUTHORIZED, &json!({ "error": error }));
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        response
    }

    fn report(&self) -> Value {
        let status = self.reloader.status();
        let conditions = self.gateway.conditions();
        let is_well = status.last_error.is_none()
            && status.left_out.is_empty()
            && conditions.iter().all(|condition| condition.is_serviceable());
        let conditions: BTreeMap<_, _> = conditions.iter().map(|it| (it.name(), it.state())).collect();
        json!({
            "status": if is_well { "ok" } else { "degraded" },
            "config": configuration(&status),
            "conditions": conditions,
            "providers": self.providers(),
        })
    }

    /// Every provider that is served, with its targets.
    fn providers(&self) -> Vec<Value> {
        let mut targets: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for target in self.gateway.targets() {
            let breaker = match target.breaker {
                BreakerState::Closed => "closed",
                BreakerState::Open { .. } => "open",
                BreakerState::HalfOpen => "half_open",
            };
            let view = json!({ "model": target.model, "breaker": breaker, "in_flight": target.in_flight });
            targets.entry(target.provider).or_default().push(view);
        }
        let config = self.gateway.config();
        let providers = config.providers.iter().map(|provider| {
            let targets = targets.remove(&provider.name).unwrap_or_default();
            json!({ "name": provider.name, "targets": targets })
        });
        providers.collect()
    }
}

fn configuration(status: &Status) -> Value {
    let left_out = status
        .left_out
        .iter()
        .map(|it| json!({ "kind": it.kind.as_str(), "name": it.name, "problem": it.reason.to_string() }));
    json!({
        "version": status.version,
        "source": status.source,
        "loaded_at": status.loaded_at.to_string(),
        "last_error": status.last_error.as_ref().map(ToString::to_string),
        "left_out": left_out.collect::<Vec<_>>(),
    })
}

fn json_response(status: StatusCode, document: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
