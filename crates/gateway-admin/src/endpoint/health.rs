//! `/admin/v1/providers/{id}/health` and `/admin/v1/health/check`: whether providers answer.

use http::StatusCode;

use super::{Asked, Handling, Route};
use crate::health::{CheckProvider, CheckProviders, HealthError, ProviderHealth, ProvidersHealth};
use crate::health::{check_provider, check_providers};
use crate::openapi::Operation;
use crate::reply::Reply;
use crate::service::Parts;

/// One provider.
pub(super) const ONE: Route = Route {
    path: "/admin/v1/providers/{id}/health",
    tag: TAG,
    id: "The provider's `id`.",
    operations: &[Operation::new(
        "POST",
        one,
        "checkProvider",
        "Send a tiny real request for each model of a provider",
    )
    .taking_perhaps::<CheckProvider>()
    .answering::<ProviderHealth>(200, "What came of it, model by model.")
    .refusing(&[409, 422])],
};

/// Several.
pub(super) const SEVERAL: Route = Route {
    path: "/admin/v1/health/check",
    tag: TAG,
    id: "",
    operations: &[Operation::new("POST", several, "checkProviders", "Send tiny real requests to several providers")
        .taking_perhaps::<CheckProviders>()
        .answering::<ProvidersHealth>(200, "What came of it, provider by provider.")
        .refusing(&[404, 409, 422])],
};

const TAG: &str = "Health";

fn one<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let request: CheckProvider = asked.json_or_default().map_err(HealthError::from)?;
        let config = parts.configuration.config();
        let health = check_provider(&config, &*parts.prober, asked.id, &request).await?;
        Ok(Reply::json(StatusCode::OK, &health))
    })
}

fn several<'a>(parts: &'a Parts, asked: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let request: CheckProviders = asked.json_or_default().map_err(HealthError::from)?;
        let config = parts.configuration.config();
        let health = check_providers(&config, &*parts.prober, &request).await?;
        Ok(Reply::json(StatusCode::OK, &health))
    })
}
