//! The calls that are told of: a few that an operator sees every day.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::time::Duration;

use clap::ValueEnum;
use gateway_core::call::{
    AttemptRecord, CallRecord, CallTrace, Endpoint, Label, Outcome, RequestId, Tokens, TraceParent, Usage,
};

/// A kind of call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Script {
    /// Answered at once.
    #[default]
    Plain,
    /// Answered with a stream that ends with its usage.
    Streamed,
    /// Answered by the second model, after two failures of the first.
    FellBack,
    /// Refused with 401.
    Refused,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Plain => "plain",
            Self::Streamed => "streamed",
            Self::FellBack => "fell back",
            Self::Refused => "401",
        })
    }
}

/// What a record borrows.
pub(crate) struct Scripted {
    script: Script,
    request_id: RequestId,
    trace: CallTrace,
    key: Label,
    model: Label,
    attempts: Vec<AttemptRecord>,
}

impl Scripted {
    pub(crate) fn new(script: Script, is_sampled: bool) -> Self {
        let own = TraceParent::new(NonZeroU128::MAX, NonZeroU64::MAX, is_sampled);
        let success = |began| attempt("gpt-4o-mini", "main", Outcome::Success, began);
        let failure = |began| attempt("gpt-4o", "broken", Outcome::ServerError, began);
        Self {
            script,
            request_id: RequestId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            trace: CallTrace { own, parent: None },
            key: Label::of("Production Key"),
            model: Label::of("gpt-4o"),
            attempts: match script {
                Script::Plain | Script::Streamed => vec![success(60)],
                Script::FellBack => vec![failure(60), failure(30_000), success(60_000)],
                Script::Refused => Vec::new(),
            },
        }
    }

    pub(crate) fn record(&self) -> CallRecord<'_> {
        let is_answered = self.script != Script::Refused;
        let usage = Usage { prompt: 812, completion: 240, cached: 512 };
        CallRecord {
            request_id: &self.request_id,
            trace: Some(self.trace),
            method: "POST",
            path: "/v1/chat/completions",
            endpoint: Some(Endpoint::ChatCompletions),
            key: is_answered.then_some(&self.key),
            model: is_answered.then_some("gpt-4o"),
            entry: is_answered.then_some(&self.model),
            status: if is_answered { 200 } else { 401 },
            error: (!is_answered).then_some("invalid_api_key"),
            refused_by: None,
            stream: self.script == Script::Streamed,
            attempts: &self.attempts,
            answering: self.attempts.len().checked_sub(1),
            tokens: is_answered.then_some(Tokens { usage, is_estimated: false }),
            cost_nano_usd: if is_answered { 4_430_000 } else { 0 },
            tags: &[],
            duration: Duration::from_micros(if is_answered { 2_345_678 } else { 43 }),
            first_byte: Some(Duration::from_micros(if is_answered { 345_678 } else { 41 })),
            overhead: Duration::from_micros(67),
            bytes_out: 1_234,
        }
    }
}

fn attempt(model: &str, provider: &str, outcome: Outcome, began: u64) -> AttemptRecord {
    AttemptRecord {
        model: model.into(),
        entry: Some(Label::of(model)),
        provider: Label::of(provider),
        provider_type: Label::of("openai"),
        upstream_model: format!("{model}-2024-11-20").into(),
        outcome,
        status: Some(if outcome == Outcome::Success { 200 } else { 500 }),
        span: NonZeroU64::new(began),
        began: Duration::from_micros(began),
        head: Some(Duration::from_micros(23_456)),
        elapsed: Duration::from_millis(2_285),
    }
}
