//! What the log says of configurations.

use std::mem::discriminant;
use std::time::Duration;

use gateway_config::{ConfigErrors, Difference, LeftOut};

use crate::reloader::Cause;

/// `took` is from the beginning of reading until calls are served by what was read.
pub(crate) fn in_force(cause: Cause, version: u64, difference: &Difference, took: Duration) {
    let Difference { added, removed, changed, .. } = difference;
    let (cause, took_ms) = (cause.as_str(), took.as_secs_f64() * 1000.0);
    tracing::info!(cause, version, took_ms, ?added, ?removed, ?changed, "another configuration is in force");
}

/// Says which settings wait for a restart, unless it has been said.
pub(crate) fn waiting(settings: &[String], known: &[String]) {
    if !settings.is_empty() && settings != known {
        tracing::warn!(?settings, "these settings come into force at the next start");
    }
}

pub(crate) fn refused(cause: Cause, errors: &ConfigErrors) {
    tracing::error!(cause = cause.as_str(), %errors, "the configuration is refused; the one in force stays");
}

/// Says which entries of the store are left out and were not, and which are not any more.
pub(crate) fn left_out(left_out: &[LeftOut], known: &[LeftOut]) {
    for it in left_out.iter().filter(|it| !is_among(it, known)) {
        tracing::error!(kind = %it.kind, name = it.name, problem = %it.reason, "an entry of the store is left out");
    }
    for it in known.iter().filter(|it| !is_among(it, left_out)) {
        tracing::info!(kind = %it.kind, name = it.name, "an entry of the store is no longer left out as it was");
    }
}

/// Whether an entry is left out already, for the same kind of reason: its words may be others, because they tell of lines of
/// the file and of names that are alike.
pub(crate) fn is_among(entry: &LeftOut, others: &[LeftOut]) -> bool {
    let reason = discriminant(&entry.reason);
    others.iter().any(|it| it.kind == entry.kind && it.name == entry.name && discriminant(&it.reason) == reason)
}
