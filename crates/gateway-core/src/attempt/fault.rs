//! An error that an upstream wrapped in a success, as a whole body or as the first event of a stream.

use bytes::Bytes;
use gateway_call::Outcome;
use gateway_protocol::{Segments, UpstreamFault};
use http::{Response, StatusCode, response};

use super::{Committed, Failure};
use crate::relay::Content;
use crate::settle::Settlement;
use crate::snapshot::ProviderRuntime;

/// Treats the error as the status that it names: the caller's own fault goes back to the caller as `document`, everything
/// else is a failure of the upstream.
pub(super) fn answer(
    provider: &ProviderRuntime,
    fault: &UpstreamFault,
    head: response::Parts,
    document: Bytes,
    ledger: &mut Settlement,
) -> Result<Committed, Failure> {
    let (outcome, status) = judge(provider, fault);
    if outcome != Outcome::ClientFault {
        return Err(Failure::refused(outcome, fault.message.clone(), &provider.redactor));
    }
    ledger.judge_attempt(outcome);
    let content = Content::Whole(Segments::from(provider.redactor.redact(document)).into_iter());
    Ok(Committed { status, headers: head.headers, content })
}

/// An error that names no status is a failure of the upstream.
fn judge(provider: &ProviderRuntime, fault: &UpstreamFault) -> (Outcome, StatusCode) {
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = Response::new(());
    *response.status_mut() = status;
    (provider.protocol.classify(&response.into_parts().0), status)
}
