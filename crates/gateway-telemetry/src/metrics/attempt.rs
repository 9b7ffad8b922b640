//! Attempts of one kind: those that count in the same series.

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
    /// Nothing, or what had begun beside it already.
    None,
    /// It was tried again with the same model.
    Retried,
    /// It was tried with another model.
    FellBack,
}

impl Sequel {
    fn of(attempt: &AttemptRecord, next: Option<&AttemptRecord>) -> Self {
        match next {
            Some(next) if next.began >= attempt.began.saturating_add(attempt.elapsed) => {
                if next.model == attempt.model { Self::Retried } else { Self::FellBack }
            }
            _ => Self::None,
        }
    }
}

impl AttemptKey {
    /// The key of an attempt that was followed by this one, if any.
    pub(super) fn of(attempt: &AttemptRecord, next: Option<&AttemptRecord>) -> Self {
        Self {
            model: number(attempt.entry.as_ref()),
            provider: attempt.provider.number(),
            outcome: Constant(attempt.outcome.name()),
            sequel: Sequel::of(attempt, next),
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
