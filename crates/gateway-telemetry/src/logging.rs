//! How the process writes its log.
//!
//! Lines go to standard error through a bounded queue and a thread of its own. When the reader of standard error
//! stalls, the queue fills and further lines are dropped: a log must never hold up a call. Those are counted, and so are lines that
//! cannot be written. Lines of calls take the same way as events of `tracing`, but are none: see [`AccessLog`](crate::AccessLog).
//!
//! What the gateway's own crates log holds no secret, at any level: credentials are of a type that cannot be printed, and tests
//! look for canaries at `trace`. The crates below them handle the same credentials as plain bytes: the HTTP crates write headers, the
//! clients of stores write passwords, TLS derives keys. Nobody promises what those print for debugging, or will print in their next
//! version. So they are held to `info`, by a second filter that `RUST_LOG` cannot change: see `filter::guard`. It names who is let
//! through rather than who is not, so that a new dependency is held to it too. Lines of the `log` crate, which rustls writes, go nowhere.

mod filter;
mod json_line;
mod output;
mod queue;
mod writer;

use std::io::{self, IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::subscriber::Subscriber;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use json_line::JsonLine;
use output::Output;
use queue::Events;
pub(crate) use queue::{Due, Queue};
use writer::Writer;

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

/// What a line is to look like, once it is known where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON object.
    Json,
    /// Text for people.
    Text {
        /// As terminals have them.
        has_colours: bool,
    },
}

/// Where lines of calls go to, if they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct CallLines {
    pub(crate) form: Form,
    pub(crate) queue: Arc<Queue>,
}

/// Keeps the writer alive: lines still queued are written when it is dropped, if that takes no longer than a second.
#[derive(Debug)]
#[must_use = "dropping it ends the log"]
pub struct LogGuard {
    _writer: Writer,
    calls: Option<CallLines>,
    dropped: DroppedLines,
}

impl LogGuard {
    /// The count of lines that were lost.
    pub fn dropped_lines(&self) -> DroppedLines {
        self.dropped.clone()
    }

    pub(crate) fn calls(&self) -> Option<CallLines> {
        self.calls.clone()
    }
}

/// Counts lines of the log that were lost, because the reader was too slow, or because they could not be written: the reader is gone,
/// or the disk is full.
#[derive(Debug, Clone)]
pub struct DroppedLines(Arc<AtomicUsize>);

impl DroppedLines {
    /// How many there were so far.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
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
    /// The system has no thread to give.
    #[error("no thread can be started for the log: {source}")]
    Thread {
        /// The system's own error.
        source: io::Error,
    },
}

/// Starts the process's log. `directives` is the text of `RUST_LOG`; none or empty text means `info`.
///
/// With `access` the access log is written, unless directives name its target `access`, or are `off`; without, it never is.
/// Directives are understood as they are for an event of that target at level `info`, with no fields and in no span.
///
/// Whatever the directives say, crates that are not the gateway's own log nothing below `info`, because what they print for
/// debugging may hold keys. An embedder with other wishes sets up `tracing` itself, and observes calls with an
/// [`Observer`](gateway_call::Observer) of its own.
///
/// # Errors
///
/// Directives that cannot be parsed, a log that was started before, or a system without a thread for it.
pub fn start_logging(format: LineFormat, access: bool, directives: Option<&str>) -> Result<LogGuard, LoggingError> {
    let filter = filter::asked_for(access, directives).map_err(|source| LoggingError::Filter { source })?;
    let form = format.on(stderr().is_terminal());
    let lost = Arc::<AtomicUsize>::default();
    let queue = Arc::new(Queue::new(Arc::clone(&lost)));
    let output = Output::new(stderr(), Arc::clone(&lost));
    let writer = Writer::start(Arc::clone(&queue), output).map_err(|source| LoggingError::Thread { source })?;
    let events = Events(Arc::clone(&queue));
    let started = match form {
        Form::Json => json(filter, events).try_init(),
        Form::Text { has_colours } => text(filter, events, has_colours).try_init(),
    };
    started.map_err(|source| LoggingError::AlreadyStarted { source })?;
    let calls = filter::lets_calls_through().then_some(CallLines { form, queue });
    Ok(LogGuard { _writer: writer, calls, dropped: DroppedLines(lost) })
}

/// What writes each event as an object.
pub(crate) fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    lines.event_format(JsonLine).finish().with(filter::guard())
}

/// What writes each event for people.
pub(crate) fn text<W>(filter: EnvFilter, writer: W, with_colours: bool) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    lines.with_ansi(with_colours).finish().with(filter::guard())
}

impl LineFormat {
    fn on(self, terminal: bool) -> Form {
        match self {
            Self::Auto if terminal => Form::Text { has_colours: true },
            Self::Auto | Self::Json => Form::Json,
            Self::Text => Form::Text { has_colours: terminal },
        }
    }
}

#[cfg(test)]
mod tests;
