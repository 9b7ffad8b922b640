//! A call on its way from where it was settled to where spans are made of it.
//!
//! This is made on the path of the call, so it is a copy of what is there: names share their text, and only the list of attempts is
//! allocated. Spans take many small allocations, and are made by whoever sends them.

use std::time::{Duration, SystemTime};

use gateway_call::{AttemptRecord, CallRecord, CallTrace, Endpoint, Label, RequestId, Tokens};

/// What a record says that spans say as well.
#[derive(Debug)]
pub(crate) struct SettledCall {
    pub(crate) trace: CallTrace,
    pub(crate) ended: SystemTime,
    pub(crate) request_id: RequestId,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) key: Option<Label>,
    pub(crate) entry: Option<Label>,
    pub(crate) status: u16,
    pub(crate) error: Option<&'static str>,
    pub(crate) stream: bool,
    pub(crate) attempts: Vec<AttemptRecord>,
    /// Which of them the caller got its answer from, if it got one.
    pub(crate) answering: Option<usize>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) cost_usd: Option<f64>,
    pub(crate) duration: Duration,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) overhead: Duration,
}

impl SettledCall {
    /// A copy of the record of a call that has this place in its trace and ended just now.
    pub(crate) fn new(record: &CallRecord<'_>, trace: CallTrace, ended: SystemTime) -> Self {
        Self {
            trace,
            ended,
            request_id: record.request_id.clone(),
            method: record.method,
            path: record.path,
            endpoint: record.endpoint,
            key: record.key.cloned(),
            entry: record.entry.cloned(),
            status: record.status,
            error: record.error,
            stream: record.stream,
            attempts: record.attempts.to_vec(),
            answering: record.answering,
            tokens: record.tokens,
            cost_usd: record.cost_usd(),
            duration: record.duration,
            first_byte: record.first_byte,
            overhead: record.overhead,
        }
    }
}

#[cfg(test)]
pub(crate) mod samples;
