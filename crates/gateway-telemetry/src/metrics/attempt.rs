//! Attempts of one kind: those that count in the same series.

use std::time::Duration;

use gateway_call::AttemptRecord;

use super::combination::{CROWDED, Constant, Key, number, value};
use super::name::{NONE, Names, Value};

/// By which what counts an attempt is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AttemptKey {
    model: u64,
    provider: u64,
    outcome: Constant,
    sequel: Sequel,
    has_head: bool,
}

/// What families may know of the attempts of one key.
pub(super) struct AttemptKind {
    pub(super) model: Value,
    pub(super) provider: Value,
    pub(super) outcome: Value,
    pub(super) sequel: Sequel,
    /// Whether the upstream answered at all.
    pub(super) has_head: bool,
}

/// What became of a call behind one of its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sequel {
    /// Nothing, or only what began while another attempt was under way.
    None,
    /// It was tried again with the same model.
    Retried,
    /// It was tried with another model.
    FellBack,
}

impl Sequel {
    /// What the attempt at this place led to. An attempt that begins when none is under way was led to by the one that had ended last;
    /// one that begins while another is under way is a hedge, which nothing led to.
    fn of(attempts: &[AttemptRecord], place: usize) -> Self {
        let Some(attempt) = attempts.get(place) else { return Self::None };
        let mut later = attempts.iter().enumerate().skip(place + 1);
        let Some((count, next)) = later.find(|(_, next)| next.began >= end(attempt)) else { return Self::None };
        let last = attempts.iter().take(count).enumerate().max_by_key(|(_, before)| end(before));
        match last {
            Some((last, _)) if last == place && next.model == attempt.model => Self::Retried,
            Some((last, _)) if last == place => Self::FellBack,
            _ => Self::None,
        }
    }
}

/// When an attempt was over, from the beginning of its call.
fn end(attempt: &AttemptRecord) -> Duration {
    attempt.began.saturating_add(attempt.elapsed)
}

impl AttemptKey {
    /// The key of an attempt, which is at this place among all of its call.
    pub(super) fn of(attempt: &AttemptRecord, attempts: &[AttemptRecord], place: usize) -> Self {
        Self {
            model: number(attempt.entry.as_ref()),
            provider: attempt.provider.number(),
            outcome: Constant(attempt.outcome.name()),
            sequel: Sequel::of(attempts, place),
            has_head: attempt.head.is_some(),
        }
    }

    /// What families may know of the attempts of this key, of which this is one.
    pub(super) fn kind(self, attempt: &AttemptRecord, names: &Names) -> AttemptKind {
        AttemptKind {
            model: value(self.model, attempt.entry.as_ref(), names),
            provider: names.value(Some(&attempt.provider), NONE),
            outcome: Value::Constant(self.outcome.0),
            sequel: self.sequel,
            has_head: self.has_head,
        }
    }
}

impl Key for AttemptKey {
    fn crowded(self) -> Self {
        Self { model: CROWDED, ..self }
    }
}

impl AttemptKind {
    /// The values that may be names, and so may go.
    pub(super) fn values(&self) -> Box<[Value]> {
        Box::new([self.model.clone(), self.provider.clone()])
    }
}
