//! Who served a call, as the answer shows it.

use gateway_call::{AttemptRecord, RequestId};
use serde::Serialize;

use crate::json::write::{put_number, put_string};

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

impl Served<'_> {
    /// Writes the value of the `gateway` member.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"model\":");
        put_string(out, self.model);
        out.extend_from_slice(b",\"provider\":");
        put_string(out, self.provider);
        out.extend_from_slice(b",\"upstream_model\":");
        put_string(out, self.upstream_model);
        out.push(b',');
        put_trail(out, self.attempts, self.request_id);
        out.push(b'}');
    }

    /// The value of the `gateway` member.
    pub(crate) fn member(&self) -> Vec<u8> {
        let mut member = Vec::with_capacity(self.member_len());
        self.put(&mut member);
        member
    }

    /// About how long the value of the `gateway` member is, in bytes, and hardly ever less than it is.
    pub(crate) fn member_len(&self) -> usize {
        /// The names of its members, and of an attempt's with an outcome and numbers.
        const OWN: usize = 96;
        const EACH: usize = 112;
        let names = self.model.len() + self.provider.len() + self.upstream_model.len();
        let each = |attempt: &AttemptRecord| EACH + attempt.model.as_str().len() + attempt.provider.len();
        OWN + names + self.request_id.as_str().len() + self.attempts.iter().map(each).sum::<usize>()
    }
}

/// Writes the two members that tell how a call went, in an answer or an error: its attempts and the request's identifier.
pub(crate) fn put_trail(out: &mut Vec<u8>, attempts: &[AttemptRecord], request_id: &RequestId) {
    out.extend_from_slice(b"\"attempts\":[");
    for (index, attempt) in attempts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_attempt(out, attempt);
    }
    out.extend_from_slice(b"],\"request_id\":");
    put_string(out, request_id.as_str());
}

fn put_attempt(out: &mut Vec<u8>, attempt: &AttemptRecord) {
    out.extend_from_slice(b"{\"model\":");
    put_string(out, attempt.model.as_str());
    out.extend_from_slice(b",\"provider\":");
    put_string(out, &attempt.provider);
    out.extend_from_slice(b",\"outcome\":");
    put_string(out, attempt.outcome.name());
    out.extend_from_slice(b",\"status\":");
    match attempt.status {
        Some(status) => put_number(out, status.into()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"ms\":");
    put_number(out, u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX));
    out.push(b'}');
}

/// JSON text of a value of ours: strings, numbers and lists of them, which can always be written.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
