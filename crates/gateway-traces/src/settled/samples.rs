//! Calls for tests.
#![allow(clippy::unwrap_used)]

use std::num::{NonZeroU64, NonZeroU128};
use std::time::{Duration, SystemTime};

use gateway_call::{AttemptRecord, CallTrace, Endpoint, Outcome, RequestId, Tokens, TraceParent, Usage};

use super::SettledCall;

/// An attempt that came to this.
pub(crate) fn attempt(outcome: Outcome, status: Option<u16>) -> AttemptRecord {
    AttemptRecord {
        model: "fast".into(),
        entry: Some("fast".into()),
        provider: "main".into(),
        provider_type: "openai".into(),
        upstream_model: "gpt-4o".into(),
        outcome,
        status,
        span: NonZeroU64::new(7),
        began: Duration::from_millis(1),
        head: None,
        elapsed: Duration::from_millis(2),
    }
}

/// A call that its caller got this status for.
pub(crate) fn call(status: u16, attempts: Vec<AttemptRecord>) -> SettledCall {
    SettledCall {
        trace: CallTrace { own: TraceParent::new(NonZeroU128::MAX, NonZeroU64::MIN, true), parent: None },
        ended: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000),
        request_id: RequestId::from_random(1),
        method: "POST",
        path: "/v1/chat/completions",
        endpoint: Some(Endpoint::ChatCompletions),
        key: None,
        entry: Some("fast".into()),
        status,
        error: None,
        stream: false,
        attempts,
        answering: None,
        tokens: Some(Tokens { usage: Usage { prompt: 3, completion: 4, cached: 2 }, is_estimated: true }),
        cost_usd: None,
        duration: Duration::from_millis(10),
        first_byte: None,
        overhead: Duration::ZERO,
    }
}
