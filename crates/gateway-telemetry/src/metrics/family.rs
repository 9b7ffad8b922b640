//! The list of families. Another one is a file beside the others and a line in [`all`].
//!
//! What a family counts is decided once for all calls of a kind: it gives back a closure that holds the handles, or nothing if calls of that
//! kind do not concern it. So a call costs what the families cost that it counts in, and a kind that never occurs is not exported.

mod attempts;
mod endings;
mod process;
mod providers;
mod refusals;
mod requests;
mod streams;
mod tokens;

use std::fmt;

use gateway_call::{AttemptRecord, CallRecord};

use super::Readings;
use super::attempt::AttemptKind;
use super::call::CallKind;
use super::exposition::Exposition;
use super::name::Value;

/// Counts the arrival of a call.
pub(super) type CountArrival = Box<dyn Fn() + Send + Sync>;

/// Counts a settled call.
pub(super) type CountCall = Box<dyn Fn(&CallRecord<'_>) + Send + Sync>;

/// Counts an attempt of a settled call.
pub(super) type CountAttempt = Box<dyn Fn(&AttemptRecord) + Send + Sync>;

/// Some metrics that are counted together.
pub(super) trait Family: Send + Sync {
    /// What counts the calls that arrive at an endpoint.
    fn arrival(&self, _endpoint: &Value) -> Option<CountArrival> {
        None
    }

    /// What counts calls of a kind.
    fn call(&self, _kind: &CallKind) -> Option<CountCall> {
        None
    }

    /// What counts attempts of a kind.
    fn attempt(&self, _kind: &AttemptKind) -> Option<CountAttempt> {
        None
    }

    /// Writes them all.
    fn encode(&self, out: &mut Exposition<'_>, readings: &Readings) -> fmt::Result;
}

/// Every family, in the order in which they are exported.
pub(super) fn all() -> [Box<dyn Family>; 8] {
    [
        Box::new(requests::Requests::new()),
        Box::new(streams::Streams::new()),
        Box::new(tokens::TokenCounts::new()),
        Box::new(attempts::Attempts::new()),
        Box::new(refusals::Refusals::new()),
        Box::new(endings::Endings::new()),
        Box::new(providers::Providers),
        Box::new(process::Process),
    ]
}
