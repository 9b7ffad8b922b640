//! How the process writes its log.
//!
//! Lines go to standard error through a bounded queue and a thread of its own. When the reader of standard error
//! stalls, the queue fills and further lines are dropped: a log must never hold up a call.

use std::io::{IsTerminal, stderr};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Lines held for a slow reader before further ones are dropped: a few megabytes.
const QUEUED_LINES: usize = 16_384;

/// What is logged unless `RUST_LOG` says otherwise. hyper warns of things that callers do, such as hanging up.
const DEFAULT_FILTER: &str = "info,hyper=error,h2=error,rustls=error";

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object.
    Json,
    /// Text for people.
    Text,
}

/// Keeps the writer alive: lines still queued are written when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the log"]
pub struct LogGuard {
    _worker: WorkerGuard,
    dropped: ErrorCounter,
}

impl LogGuard {
    /// The count of lines lost because the reader was too slow.
    pub fn dropped_lines(&self) -> DroppedLines {
        DroppedLines(self.dropped.clone())
    }
}

/// Counts lines of the log that were lost because the reader was too slow.
#[derive(Debug, Clone)]
pub struct DroppedLines(ErrorCounter);

impl DroppedLines {
    /// How many there were so far.
    pub fn count(&self) -> usize {
        self.0.dropped_lines()
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// `RUST_LOG` is not a list of filter directives.
    #[error("RUST_LOG is not understood ({source}); write for example `info` or `info,gateway_core=debug`")]
    Filter {
        /// What is wrong with it.
        source: ParseError,
    },
    /// Something else in the process logs already.
    #[error("this process already has a log: {source}")]
    AlreadyStarted {
        /// The logging library's own error.
        source: TryInitError,
    },
}

/// Starts the process's log. `directives` is the text of `RUST_LOG`; none or empty text means `info`.
///
/// # Errors
///
/// Directives that cannot be parsed, or a log that was started before.
pub fn start_logging(format: LineFormat, access: bool, directives: Option<&str>) -> Result<LogGuard, LoggingError> {
    let filter = filter(access, directives)?;
    let (writer, worker) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES).finish(stderr());
    let dropped = writer.error_counter();
    start(format, filter, writer).map_err(|source| LoggingError::AlreadyStarted { source })?;
    Ok(LogGuard { _worker: worker, dropped })
}

fn filter(access: bool, directives: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let directives = directives.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(DEFAULT_FILTER);
    let access = if access { "" } else { ",access=off" };
    EnvFilter::builder().parse(format!("{directives}{access}")).map_err(|source| LoggingError::Filter { source })
}

fn start(format: LineFormat, filter: EnvFilter, writer: NonBlocking) -> Result<(), TryInitError> {
    let on_terminal = stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    if format == LineFormat::Json || (format == LineFormat::Auto && !on_terminal) {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish().try_init()
    } else {
        builder.with_ansi(on_terminal).finish().try_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_checked_and_the_access_log_can_be_switched_off() {
        assert!(filter(true, Some("info,gateway_core=debug")).is_ok());
        assert!(matches!(filter(true, Some("gateway_core=louder")), Err(LoggingError::Filter { .. })));
        assert!(filter(false, None).unwrap().to_string().contains("access=off"));
        assert!(!filter(true, Some("  ")).unwrap().to_string().contains("access"));
    }
}
