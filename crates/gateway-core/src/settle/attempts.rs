//! The attempts of a call: what came of each, and which are under way.

use std::time::Duration;

use gateway_call::{AttemptRecord, Label, ModelName, Outcome, TraceParent};
use http::StatusCode;
use tokio::time::Instant;

use crate::clock;

/// How many attempts of one call may be under way at once: the first, and the hedges beside it.
pub(crate) const MAX_RUNNING: usize = 4;

/// Who an attempt goes to.
pub(crate) struct Addressee {
    /// The public name of the model that is tried.
    pub(crate) model: ModelName,
    /// The entry of the configuration that the name led to; none if the name is the caller's own.
    pub(crate) entry: Option<Label>,
    /// The provider.
    pub(crate) provider: Label,
    /// The provider's type.
    pub(crate) provider_type: Label,
    /// What that calls the model.
    pub(crate) upstream_model: ModelName,
}

/// An attempt that has been noted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    /// Its number among those of the call.
    pub(crate) number: usize,
    /// Its place in the call's trace, if the call is traced: what its upstream is told.
    pub(crate) trace: Option<TraceParent>,
    /// When it began.
    pub(crate) at: Instant,
}

/// The head of an upstream's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    /// How long after the start of the attempt it came.
    pub(crate) after: Duration,
}

/// All attempts of a call.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    records: Vec<AttemptRecord>,
    /// Those that are under way: which they are, and since when.
    running: [Option<(usize, Instant)>; MAX_RUNNING],
}

impl Attempts {
    /// In the order in which they began.
    pub(super) fn records(&self) -> &[AttemptRecord] {
        &self.records
    }

    /// Since when one is under way, if any is.
    pub(super) fn running_since(&self) -> Option<Instant> {
        self.running.iter().flatten().map(|(_, began)| *began).min()
    }

    /// Notes that an attempt begins, so long after its call. Until more is known of it, it counts as cancelled, which is what
    /// it is if the call is dropped now.
    pub(super) fn begin(&mut self, at: Addressee, trace: Option<TraceParent>, call_began: Instant) -> Begun {
        let (number, now) = (self.records.len(), clock::read());
        let Addressee { model, entry, provider, provider_type, upstream_model } = at;
        self.records.push(AttemptRecord {
            model,
            entry,
            provider,
            provider_type,
            upstream_model,
            outcome: Outcome::Cancelled,
            status: None,
            span: trace.map(|trace| trace.span),
            began: now.saturating_duration_since(call_began),
            head: None,
            elapsed: Duration::ZERO,
        });
        if let Some(slot) = self.running.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((number, now));
        }
        Begun { number, trace, at: now }
    }

    /// Notes what came of an attempt.
    pub(super) fn conclude(&mut self, number: usize, outcome: Outcome, answer: Option<AnswerHead>) {
        let slot = self.running.iter_mut().find(|slot| slot.is_some_and(|(running, _)| running == number));
        let began = slot.and_then(Option::take).map(|(_, began)| began);
        if let Some(attempt) = self.records.get_mut(number) {
            attempt.outcome = outcome;
            attempt.status = answer.map(|head| head.status.as_u16());
            attempt.head = answer.map(|head| head.after);
            attempt.elapsed = began.map_or(attempt.elapsed, |began| clock::now().saturating_duration_since(began));
        }
    }

    /// Notes that whatever is under way is given up, `but` for one attempt: that one has decided the race.
    pub(super) fn cancel(&mut self, but: Option<usize>) {
        let others = self.running.iter_mut().filter(|slot| slot.is_some_and(|(number, _)| Some(number) != but));
        for (number, began) in others.filter_map(Option::take) {
            if let Some(attempt) = self.records.get_mut(number) {
                attempt.elapsed = clock::now().saturating_duration_since(began);
            }
        }
    }

    /// Notes what came of an attempt's answer, so long after the start of the attempt. What began well may end badly, so a
    /// later verdict replaces an earlier.
    pub(super) fn judge(&mut self, number: usize, outcome: Outcome, elapsed: Duration) {
        if let Some(attempt) = self.records.get_mut(number) {
            attempt.outcome = outcome;
            attempt.elapsed = elapsed;
        }
    }
}
