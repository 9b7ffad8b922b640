//! One line a call, written when it settles.
//!
//! A line is made of a [`CallRecord`] and of nothing else, and no field of that can hold a key: credentials are
//! `gateway_secret::Secret`s, which nothing can print. What a caller chose is escaped: identifier
//! and model as any text of a line, and what stands within a text that has parts, models of attempts and tags, part by part.
//!
//! To whoever reads the log it is an event of `tracing` with a field for each member, target `access`, level `info`. It is none: as
//! one, whose fields are shown to a visitor one by one, it took 14,200 instructions of a plain call, and less than a third like this.

mod json;
mod members;
mod text;
mod token;

use gateway_call::{CallRecord, Event, Observer};

use crate::line;
use crate::logging::{CallLines, Due, Form, LogGuard};

/// Writes the access log: one line a call, with data in fields.
///
/// Of many calls a share is enough, but each one that went wrong matters: see [`sampled`](Self::sampled). Whatever counts
/// calls is another observer and counts all of them.
///
/// ```
/// use std::sync::Arc;
///
/// use gateway_telemetry::{AccessLog, LineFormat, Metrics, Observers, start_logging};
///
/// # fn main() -> Result<(), gateway_telemetry::LoggingError> {
/// let log = start_logging(LineFormat::Json, true, None)?;
/// // All errors and a tenth of the rest are written, and everything is counted.
/// let access = AccessLog::new(&log).sampled(0.1);
/// let observers = Observers::new([Arc::new(access) as _, Arc::new(Metrics::new()) as _]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// None if lines of calls are not asked for.
    to: Option<CallLines>,
    /// Identifiers whose hash is below are written; all if it is the largest number.
    below: u64,
}

impl AccessLog {
    /// Writes every call to the process's log, if that was started with the access log in it.
    pub fn new(log: &LogGuard) -> Self {
        Self { to: log.calls(), below: u64::MAX }
    }

    /// Writes this share, 0 to 1, of the calls that went well, and every other: one with a status from 400, and one that
    /// broke off after its head. A share beyond the range is the nearest within.
    ///
    /// The request's identifier decides, and nothing else. So the lines that several gateways, or a gateway before and after
    /// a restart, write about one request are all there or all missing.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` ends at the ends of the range")]
    pub fn sampled(self, share: f64) -> Self {
        const HASHES: f64 = 18_446_744_073_709_551_616.0;
        Self { below: (share * HASHES) as u64, ..self }
    }

    fn writes(&self, record: &CallRecord<'_>) -> bool {
        record.status >= 400
            || record.error.is_some()
            || self.below == u64::MAX
            || hash(record.request_id.as_str()) < self.below
    }
}

impl Observer for AccessLog {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::Settled(record) = event
            && let Some(to) = &self.to
            && self.writes(record)
        {
            write(to, record);
        }
    }
}

/// FNV-1a (draft-eastlake-fnv), and the finalizer of `MurmurHash3` behind it, without which identifiers that count up would not
/// be spread. Both are what they are forever, which a hash of the standard library is not.
fn hash(id: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = id.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

fn write(to: &CallLines, record: &CallRecord<'_>) {
    line::with_empty(|line| {
        match to.form {
            Form::Json => json::put(line, record),
            Form::Text { has_colours } => text::put(line, record, has_colours),
        }
        to.queue.append(line.as_bytes(), Due::Soon);
    });
}

#[cfg(test)]
mod tests;
