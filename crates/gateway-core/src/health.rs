//! Whether this process is there, alive and ready, for load balancers and orchestrators. No key is needed.

use bytes::Bytes;
use http::StatusCode;

use crate::accept::Destination;
use crate::gateway::Gateway;
use crate::snapshot::Snapshot;

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
        Destination::Readyz => ok(r#"{"status":"ready"}"#),
        _ => None,
    }
}
