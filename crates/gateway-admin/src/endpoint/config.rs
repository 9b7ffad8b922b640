//! `/admin/v1/config`: the configuration that is in force, and how it becomes another.

use http::StatusCode;
use serde_json::{Map, Value};

use super::{Asked, Handling, Route};
use crate::configuration::{ConfigVersion, Reloaded};
use crate::error::{AdminError, Problem};
use crate::openapi::Operation;
use crate::reply::Reply;
use crate::service::Parts;

/// What is in force.
pub(super) const IN_FORCE: Route = Route {
    path: "/admin/v1/config",
    tag: TAG,
    id: "",
    operations: &[Operation::new("GET", in_force, "getConfig", "The configuration in force, without secrets")
        .answering::<Map<String, Value>>(200, "The configuration in the shape of its file, defaults filled in.")],
};

/// Which one it is.
pub(super) const VERSION: Route = Route {
    path: "/admin/v1/config/version",
    tag: TAG,
    id: "",
    operations: &[Operation::new("GET", version, "getConfigVersion", "Which configuration is in force")
        .answering::<ConfigVersion>(200, "Its number, where it is from, and why a later one is not in force.")],
};

/// Another one.
pub(super) const RELOAD: Route = Route {
    path: "/admin/v1/config/reload",
    tag: TAG,
    id: "",
    operations: &[Operation::new("POST", reload, "reloadConfig", "Read the configuration anew and put it into force")
        .answering::<Reloaded>(200, "What is different now.")
        .refusing(&[422])],
};

const TAG: &str = "Configuration";

fn in_force<'a>(parts: &'a Parts, _: Asked<'a>) -> Handling<'a> {
    Box::pin(async move { Ok(Reply::json(StatusCode::OK, &parts.configuration.config().redacted())) })
}

fn version<'a>(parts: &'a Parts, _: Asked<'a>) -> Handling<'a> {
    Box::pin(async move { Ok(Reply::json(StatusCode::OK, &parts.configuration.version())) })
}

fn reload<'a>(parts: &'a Parts, _: Asked<'a>) -> Handling<'a> {
    Box::pin(async move {
        let reloaded = parts.configuration.reload().await;
        let reloaded =
            reloaded.map_err(|errors| AdminError::NotReloaded(errors.iter().map(Problem::from).collect()))?;
        Ok(Reply::json(StatusCode::OK, &reloaded))
    })
}
