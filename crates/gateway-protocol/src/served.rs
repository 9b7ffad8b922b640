//! Who served a call, as the answer shows it.

use gateway_call::{AttemptRecord, RequestId};
use serde::Serialize;

/// The facts that an answer gains.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// The public name of the model, shown as the answer's `model`.
    pub model: &'a str,
    /// The configured name of the provider.
    pub provider: &'a str,
    /// The model's name at the provider.
    pub upstream_model: &'a str,
    /// All attempts in order, the successful one included.
    pub attempts: &'a [AttemptRecord],
    /// The request's identifier.
    pub request_id: &'a RequestId,
}

#[derive(Serialize)]
struct ServedMember<'a> {
    model: &'a str,
    provider: &'a str,
    upstream_model: &'a str,
    attempts: Vec<AttemptMember<'a>>,
    request_id: &'a str,
}

/// One attempt in the member that an answer or an error gains.
#[derive(Serialize)]
pub(crate) struct AttemptMember<'a> {
    model: &'a str,
    provider: &'a str,
    outcome: &'static str,
    status: Option<u16>,
    ms: u64,
}

impl<'a> From<&'a AttemptRecord> for AttemptMember<'a> {
    fn from(attempt: &'a AttemptRecord) -> Self {
        Self {
            model: attempt.model.as_str(),
            provider: &attempt.provider,
            outcome: attempt.outcome.name(),
            status: attempt.status,
            ms: u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Served<'_> {
    /// The value of the `gateway` member.
    pub(crate) fn member(&self) -> Vec<u8> {
        to_json(&ServedMember {
            model: self.model,
            provider: self.provider,
            upstream_model: self.upstream_model,
            attempts: self.attempts.iter().map(AttemptMember::from).collect(),
            request_id: self.request_id.as_str(),
        })
    }
}

/// JSON text of a value of ours: strings, numbers and lists of them, which can always be written.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
