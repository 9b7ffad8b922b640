//! What the steps of a call tell whoever watches.

use std::sync::Arc;
use std::time::Duration;

use crate::{Endpoint, ModelName, Outcome, RequestId};

/// One finished attempt at one target, as the answer's trail and the log show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The public name of the model that was tried.
    pub model: ModelName,
    /// The configured name of the provider.
    pub provider: Arc<str>,
    /// The model's name at the provider.
    pub upstream_model: ModelName,
    /// What came of it.
    pub outcome: Outcome,
    /// The upstream's HTTP status, where one arrived.
    pub status: Option<u16>,
    /// From the start of the attempt until its outcome was known.
    pub elapsed: Duration,
}

/// One call, complete: what the access log writes and the metrics count.
#[derive(Debug)]
pub struct CallRecord<'a> {
    /// The request's identifier.
    pub request_id: &'a RequestId,
    /// The path served, as a constant; the caller's own path never stands here.
    pub path: &'static str,
    /// The endpoint, where the path is one.
    pub endpoint: Option<Endpoint>,
    /// The configured name of the caller's key, where it was known.
    pub key: Option<&'a str>,
    /// The public model name, where one was resolved.
    pub model: Option<&'a str>,
    /// The status the caller got; 499 if the caller left before it had all of the answer.
    pub status: u16,
    /// The `code` of the error the caller got, if it got one.
    pub error: Option<&'static str>,
    /// Whether the answer was a stream of events.
    pub stream: bool,
    /// The attempts made, in order.
    pub attempts: &'a [AttemptRecord],
    /// The caller's own labels.
    pub tags: &'a [(String, String)],
    /// From the request's head to the answer's end.
    pub duration: Duration,
    /// From the request's head to the first byte of the answer's body, where there was one.
    pub first_byte: Option<Duration>,
    /// Spent in the gateway itself until the answer's head left: waiting for the upstream and the caller excluded.
    pub overhead: Duration,
    /// Bytes of the answer's body handed to the caller's connection.
    pub bytes_out: u64,
}

/// Something worth telling.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A call is over, however it ended. Sent exactly once a call.
    Settled(&'a CallRecord<'a>),
}

/// Told of events as they happen, on the path of the call: an implementation must not block.
pub trait Observer: Send + Sync {
    /// Takes note of one event; it is borrowed and gone when the method returns.
    fn on_event(&self, event: &Event<'_>);
}
