//! What the steps of a call tell whoever watches.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::{CallTrace, Endpoint, Label, ModelName, Outcome, RequestId, Usage};

/// One finished attempt at one target, as the answer's trail and the log show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The public name of the model that was tried.
    pub model: ModelName,
    /// The entry of the configuration that the name led to; none if a provider takes any name, for then it is the caller's.
    pub entry: Option<Label>,
    /// The configured name of the provider.
    pub provider: Label,
    /// The model's name at the provider.
    pub upstream_model: ModelName,
    /// What came of it.
    pub outcome: Outcome,
    /// The upstream's HTTP status, where one arrived.
    pub status: Option<u16>,
    /// The attempt's span, if the call is traced.
    pub span: Option<NonZeroU64>,
    /// From the request's head to the start of the attempt.
    pub began: Duration,
    /// From the start of the attempt to the head of the upstream's answer, where one arrived.
    pub head: Option<Duration>,
    /// From the start of the attempt until its outcome was known.
    pub elapsed: Duration,
}

/// How many tokens a call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// How many.
    pub usage: Usage,
    /// Whether the gateway guessed them from what it saw pass, because the upstream reported nothing: the answer broke off, its
    /// caller left, or it is of a kind that has no report.
    pub is_estimated: bool,
}

/// What kept a call from being tried, where that is something that an operator turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedBy {
    /// A limit of the caller's key, by its short constant name.
    Limit(&'static str),
    /// The number of calls that the process serves at once.
    Room,
}

/// One call, complete: what the access log writes and the metrics count.
#[derive(Debug)]
pub struct CallRecord<'a> {
    /// The request's identifier.
    pub request_id: &'a RequestId,
    /// The call's place in its trace, if calls are traced.
    pub trace: Option<CallTrace>,
    /// The request's method; `other` if it is none of HTTP's own.
    pub method: &'static str,
    /// The path served, as a constant; the caller's own path never stands here.
    pub path: &'static str,
    /// The endpoint, where the path is one.
    pub endpoint: Option<Endpoint>,
    /// The configured name of the caller's key, where it was known.
    pub key: Option<&'a Label>,
    /// The public model name, where one was resolved.
    pub model: Option<&'a str>,
    /// The entry of the configuration that the name led to: a model, a mapping's name or pattern. None where none was resolved, and
    /// where a provider takes any name, since that one is the caller's.
    pub entry: Option<&'a Label>,
    /// The status the caller got; 499 if the caller left before it had all of the answer.
    pub status: u16,
    /// The `code` of the error the caller got, if it got one.
    pub error: Option<&'static str>,
    /// What kept the call from being tried, if something did.
    pub refused_by: Option<RefusedBy>,
    /// Whether the answer was a stream of events.
    pub stream: bool,
    /// The attempts made, in order.
    pub attempts: &'a [AttemptRecord],
    /// What the answer took, if there was one.
    pub tokens: Option<Tokens>,
    /// What it cost by the prices of the configuration, in billionths of a US dollar.
    pub cost_nano_usd: u64,
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
    /// A call has arrived, of which so far only the path is known. Each is settled later.
    Arrived {
        /// As in [`CallRecord::path`].
        path: &'static str,
    },
    /// A call is over, however it ended. Sent exactly once a call.
    Settled(&'a CallRecord<'a>),
}

/// Told of events as they happen, on the path of the call: an implementation must not block.
pub trait Observer: Send + Sync {
    /// Takes note of one event; it is borrowed and gone when the method returns.
    fn on_event(&self, event: &Event<'_>);
}
