//! Calls as tests tell them.

use std::time::Duration;

use gateway_call::{AttemptRecord, CallRecord, Event, Label, Observer, Outcome, RefusedBy, RequestId, Tokens, Usage};

use gateway_telemetry::Metrics;

/// What a call was, with times in milliseconds. By default a call to a chat endpoint without a key that was refused.
pub(crate) struct Script {
    pub(crate) path: &'static str,
    pub(crate) key: Option<Label>,
    pub(crate) entry: Option<Label>,
    pub(crate) status: u16,
    pub(crate) refused_by: Option<RefusedBy>,
    pub(crate) stream: bool,
    pub(crate) attempts: Vec<AttemptRecord>,
    pub(crate) answering: Option<usize>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) cost_nano_usd: u64,
    pub(crate) duration: u64,
    pub(crate) first_byte: Option<u64>,
    pub(crate) overhead_us: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            path: "/v1/chat/completions",
            key: None,
            entry: None,
            status: 401,
            refused_by: None,
            stream: false,
            attempts: Vec::new(),
            answering: None,
            tokens: None,
            cost_nano_usd: 0,
            duration: 2,
            first_byte: None,
            overhead_us: 20,
        }
    }
}

impl Script {
    /// Shows what the call came to.
    pub(crate) fn settle(&self, metrics: &Metrics) {
        metrics.on_event(&Event::Settled(&CallRecord {
            request_id: &RequestId::from_random(1),
            trace: None,
            method: "POST",
            path: self.path,
            endpoint: None,
            key: self.key.as_ref(),
            model: Some("what the caller wrote"),
            entry: self.entry.as_ref(),
            status: self.status,
            error: None,
            refused_by: self.refused_by,
            stream: self.stream,
            attempts: &self.attempts,
            answering: self.answering,
            tokens: self.tokens,
            cost_nano_usd: self.cost_nano_usd,
            tags: &[],
            duration: Duration::from_millis(self.duration),
            first_byte: self.first_byte.map(Duration::from_millis),
            overhead: Duration::from_micros(self.overhead_us),
            bytes_out: 0,
        }));
    }

    /// Shows that the call arrived, and what it came to.
    pub(crate) fn run(&self, metrics: &Metrics) {
        metrics.on_event(&Event::Arrived { path: self.path });
        self.settle(metrics);
    }
}

/// An attempt at `provider` with `model` that began so many milliseconds behind the call and took so many.
pub(crate) fn attempt(provider: &Label, model: &Label, outcome: Outcome, (began, took): (u64, u64)) -> AttemptRecord {
    AttemptRecord {
        model: (&**model).into(),
        entry: Some(model.clone()),
        provider: provider.clone(),
        provider_type: "openai".into(),
        upstream_model: "upstream".into(),
        outcome,
        status: None,
        span: None,
        began: Duration::from_millis(began),
        head: (outcome == Outcome::Success).then(|| Duration::from_millis(took)),
        elapsed: Duration::from_millis(took),
    }
}

/// A plain answer to `key` from `provider`.
pub(crate) fn settled(key: &Label, model: &Label, provider: &Label) -> Script {
    Script {
        key: Some(key.clone()),
        entry: Some(model.clone()),
        status: 200,
        attempts: vec![attempt(provider, model, Outcome::Success, (0, 8))],
        tokens: Some(tokens(10, 5)),
        cost_nano_usd: 100_000_000,
        duration: 9,
        ..Script::default()
    }
}

/// So many tokens, as reported.
pub(crate) fn tokens(prompt: u64, completion: u64) -> Tokens {
    Tokens { usage: Usage { prompt, completion, cached: 4 }, is_estimated: false }
}
