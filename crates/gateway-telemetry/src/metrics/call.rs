//! Calls of one kind: those that count in the same series.

use std::time::Duration;

use gateway_call::{CallRecord, Outcome, RefusedBy};

use super::combination::{CROWDED, Constant, Key, number, value};
use super::name::{NONE, Names, Value};

/// By which what counts a call is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallKey {
    api_key: u64,
    model: u64,
    provider: u64,
    method: Constant,
    path: Constant,
    refusal: Refusal,
    status: u16,
    features: Features,
}

/// What refused a call, if something did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Refusal {
    Nothing,
    Limit(Constant),
    Room,
}

impl Refusal {
    fn of(refused_by: Option<RefusedBy>) -> Self {
        match refused_by {
            None => Self::Nothing,
            Some(RefusedBy::Limit(limit)) => Self::Limit(Constant(limit)),
            Some(RefusedBy::Room) => Self::Room,
        }
    }
}

/// What families may know of the calls of one key.
pub(super) struct CallKind {
    pub(super) api_key: Value,
    pub(super) model: Value,
    pub(super) provider: Value,
    pub(super) method: Value,
    pub(super) endpoint: Value,
    pub(super) status: u16,
    pub(super) refused_by: Option<RefusedBy>,
    pub(super) features: Features,
}

/// Something about a call that decides what it counts in.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Feature {
    /// A stream of events, of which something came.
    Streamed = 1,
    /// A stream whose tokens came one after another, at some rate.
    Flowed = 1 << 1,
    /// Took tokens.
    Tokens = 1 << 2,
    /// The tokens are a guess.
    Estimated = 1 << 3,
    /// Cost something.
    Priced = 1 << 4,
    /// A stream that ended before its end.
    Truncated = 1 << 5,
}

/// The features of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Features(u8);

impl Features {
    fn of(call: &CallRecord<'_>) -> Self {
        let is_truncated = || call.served_by().is_some_and(|attempt| attempt.outcome == Outcome::Truncated);
        let all = [
            (Feature::Streamed, call.stream && call.first_byte.is_some()),
            (Feature::Flowed, token_rate(call).is_some()),
            (Feature::Tokens, call.tokens.is_some()),
            (Feature::Estimated, call.tokens.is_some_and(|tokens| tokens.is_estimated)),
            (Feature::Priced, call.cost_nano_usd > 0),
            (Feature::Truncated, call.stream && is_truncated()),
        ];
        Self(all.into_iter().fold(0, |bits, (feature, is_there)| bits | (feature as u8 * u8::from(is_there))))
    }

    /// Whether the call has a feature.
    pub(super) fn has(self, feature: Feature) -> bool {
        self.0 & feature as u8 != 0
    }
}

/// A stream that takes less from its first byte to its last came in one piece, and how far apart its bytes were is chance: a few
/// microseconds, and so millions of tokens per second, would be the bulk of the histogram's sum. A model that makes a token each
/// millisecond, which none does, takes as long for ten.
const LEAST_FLOW: Duration = Duration::from_millis(10);

/// Tokens per second from the first byte of a streamed answer to its last, where there were some, and [`LEAST_FLOW`] in between.
pub(super) fn token_rate(call: &CallRecord<'_>) -> Option<f64> {
    let completion = call.tokens?.usage.completion;
    let flow = call.duration.checked_sub(call.first_byte.filter(|_| call.stream)?)?;
    #[expect(clippy::cast_precision_loss, reason = "no answer has 2^53 tokens")]
    let rate = completion as f64 / flow.as_secs_f64();
    (completion > 0 && flow >= LEAST_FLOW).then_some(rate)
}

impl CallKey {
    /// The key of a call.
    pub(super) fn of(call: &CallRecord<'_>) -> Self {
        Self {
            api_key: number(call.key),
            model: number(call.entry),
            provider: number(call.served_by().map(|attempt| &attempt.provider)),
            method: Constant(call.method),
            path: Constant(call.path),
            refusal: Refusal::of(call.refused_by),
            status: call.status,
            features: Features::of(call),
        }
    }

    /// What families may know of the calls of this key, of which this is one.
    pub(super) fn kind(self, call: &CallRecord<'_>, names: &Names) -> CallKind {
        CallKind {
            api_key: value(self.api_key, call.key, names),
            model: value(self.model, call.entry, names),
            provider: names.value(call.served_by().map(|attempt| &attempt.provider), NONE),
            method: Value::Constant(call.method),
            endpoint: Value::Constant(call.path),
            status: call.status,
            refused_by: call.refused_by,
            features: self.features,
        }
    }
}

impl Key for CallKey {
    fn crowded(self) -> Self {
        Self { api_key: CROWDED, model: CROWDED, ..self }
    }
}

impl CallKind {
    /// The values that may be names, and so may go.
    pub(super) fn values(&self) -> Box<[Value]> {
        Box::new([self.api_key.clone(), self.model.clone(), self.provider.clone()])
    }
}
