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
    /// The provider's type, by its name in the configuration: which protocol it speaks.
    pub provider_type: Label,
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
    /// Whether any of it is the gateway's guess from what it saw pass: the upstream reported nothing or only half, or the answer broke
    /// off with less reported than was seen.
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
    /// The attempts made, in the order in which they began.
    pub attempts: &'a [AttemptRecord],
    /// The place in `attempts` of the one whose answer the caller got, be it the refusal of an upstream; none if what the caller
    /// got is the gateway's own, or nothing.
    pub answering: Option<usize>,
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

impl<'a> CallRecord<'a> {
    /// The attempt that the call is ascribed to, wherever it is ascribed to one: the attempt whose answer the caller got, or else the
    /// last. None if none was made.
    ///
    /// Of attempts beside each other the last is often one that lost, and an upstream's refusal may be what the caller gets after
    /// another model failed as well. So the order of attempts does not tell.
    pub fn served_by(&self) -> Option<&'a AttemptRecord> {
        self.answering.and_then(|number| self.attempts.get(number)).or(self.attempts.last())
    }

    /// What it cost, in US dollars, for people to read. None if it was free.
    pub fn cost_usd(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "exact to nine million dollars")]
        let billionths = self.cost_nano_usd as f64;
        (self.cost_nano_usd > 0).then_some(billionths / 1e9)
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn attempt(provider: &str) -> AttemptRecord {
        AttemptRecord {
            model: "m".into(),
            entry: None,
            provider: provider.into(),
            provider_type: "openai".into(),
            upstream_model: "m".into(),
            outcome: Outcome::Cancelled,
            status: None,
            span: None,
            began: Duration::ZERO,
            head: None,
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn a_call_is_ascribed_to_the_attempt_that_answered_or_else_to_the_last() {
        let all = [attempt("a"), attempt("b"), attempt("c")];
        for (count, answering, expected) in [
            (0, None, None),
            (3, None, Some("c")),
            (3, Some(0), Some("a")),
            (3, Some(1), Some("b")),
            (3, Some(2), Some("c")),
            // Of no attempt.
            (2, Some(2), Some("b")),
            (0, Some(0), None),
        ] {
            let record = CallRecord {
                request_id: &RequestId::from_random(1),
                trace: None,
                method: "POST",
                path: "/v1/chat/completions",
                endpoint: None,
                key: None,
                model: None,
                entry: None,
                status: 200,
                error: None,
                refused_by: None,
                stream: false,
                attempts: &all[..count],
                answering,
                tokens: None,
                cost_nano_usd: 0,
                tags: &[],
                duration: Duration::ZERO,
                first_byte: None,
                overhead: Duration::ZERO,
                bytes_out: 0,
            };
            assert_eq!(record.served_by().map(|it| &*it.provider), expected, "{answering:?} of {count}");
        }
    }
}
