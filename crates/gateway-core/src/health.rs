//! Whether this process is there, alive and ready, for load balancers and orchestrators. No key is needed.

use bytes::Bytes;
use gateway_protocol::status_object;
use http::StatusCode;

use crate::accept::Destination;
use crate::gateway::Gateway;
use crate::snapshot::Snapshot;

/// Something that a gateway needs, or does better with, and that may not be there.
pub trait Condition: Send + Sync {
    /// What it is, in a word of lower case.
    fn name(&self) -> &'static str;

    /// How it is, in a few words.
    fn state(&self) -> &'static str;

    /// Whether calls can be served as it is.
    fn is_serviceable(&self) -> bool;
}

/// The answer to a health question; `None` if the destination is none.
pub(crate) fn answer(
    destination: Destination<'_>,
    gateway: &Gateway,
    snapshot: &Snapshot,
) -> Option<(StatusCode, Bytes)> {
    let ok = |text: &'static str| Some((StatusCode::OK, Bytes::from_static(text.as_bytes())));
    let unready = |text: &'static str| Some((StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(text.as_bytes())));
    match destination {
        Destination::Health => ok(r#"{"status":"ok"}"#),
        Destination::Livez => ok(r#"{"status":"alive"}"#),
        Destination::Readyz if gateway.is_draining() => unready(r#"{"status":"draining"}"#),
        Destination::Readyz if snapshot.providers.is_empty() => unready(r#"{"status":"no providers are configured"}"#),
        Destination::Readyz => Some(readiness(gateway)),
        _ => None,
    }
}

/// Whether everything is there that calls need, and how what they may need is.
fn readiness(gateway: &Gateway) -> (StatusCode, Bytes) {
    let conditions = &gateway.shared.conditions;
    let unserviceable = conditions.iter().find(|condition| !condition.is_serviceable());
    let status = if unserviceable.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let summary =
        unserviceable.map_or_else(|| "ready".to_owned(), |condition| format!("waiting for the {}", condition.name()));
    let mut members = vec![("status", summary.as_str())];
    members.extend(conditions.iter().map(|condition| (condition.name(), condition.state())));
    (status, status_object(&members))
}
