//! How the process writes its log.
//!
//! Lines go to standard error through a bounded queue and a thread of its own. When the reader of standard error
//! stalls, the queue fills and further lines are dropped: a log must never hold up a call. Those are counted, and so are lines that
//! cannot be written.
//!
//! What the gateway's own crates log holds no secret, at any level: credentials are of a type that cannot be printed, and tests
//! look for canaries at `trace`. The crates below them handle the same credentials as plain bytes: the HTTP crates write headers, the
//! clients of stores write passwords, TLS derives keys. Nobody promises what those print for debugging, or will print in their next
//! version. So they are held to `info`, by a second filter that `RUST_LOG` cannot change: see `filter::guard`. It names who is let
//! through rather than who is not, so that a new dependency is held to it too. Lines of the `log` crate, which rustls writes, go nowhere.

mod filter;
mod json_line;
mod output;

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::subscriber::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use json_line::JsonLine;
use output::Output;

/// Lines held for a slow reader before further ones are dropped: a few megabytes.
const QUEUED_LINES: usize = 16_384;

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
    dropped: DroppedLines,
}

impl LogGuard {
    /// The count of lines that were lost.
    pub fn dropped_lines(&self) -> DroppedLines {
        self.dropped.clone()
    }
}

/// Counts lines of the log that were lost, because the reader was too slow, or because they could not be written: the reader is gone,
/// or the disk is full.
#[derive(Debug, Clone)]
pub struct DroppedLines {
    unqueued: ErrorCounter,
    unwritten: Arc<AtomicUsize>,
}

impl DroppedLines {
    /// How many there were so far.
    pub fn count(&self) -> usize {
        self.unqueued.dropped_lines().saturating_add(self.unwritten.load(Ordering::Relaxed))
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
/// With `access` the access log is written, unless directives name its target `access`, or are `off`; without, it never is.
///
/// Whatever the directives say, crates that are not the gateway's own log nothing below `info`, because what they print for
/// debugging may hold keys. An embedder with other wishes sets up `tracing` itself; the access log is an event like any other.
///
/// # Errors
///
/// Directives that cannot be parsed, or a log that was started before.
pub fn start_logging(format: LineFormat, access: bool, directives: Option<&str>) -> Result<LogGuard, LoggingError> {
    let filter = filter::asked_for(access, directives).map_err(|source| LoggingError::Filter { source })?;
    let output = Output::new(stderr());
    let unwritten = output.lost();
    let (writer, worker) = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES).finish(output);
    let dropped = DroppedLines { unqueued: writer.error_counter(), unwritten };
    let on_terminal = stderr().is_terminal();
    let started = if format.is_json(on_terminal) {
        json(filter, writer).try_init()
    } else {
        text(filter, writer, on_terminal).try_init()
    };
    started.map_err(|source| LoggingError::AlreadyStarted { source })?;
    Ok(LogGuard { _worker: worker, dropped })
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
    fn is_json(self, on_terminal: bool) -> bool {
        self == Self::Json || (self == Self::Auto && !on_terminal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured::Lines;

    /// What a process with these directives logs when crates of all kinds print a header at every level.
    fn logged(directives: &str, is_json: bool) -> String {
        let lines = Lines::default();
        let (filter, writer) = (filter::asked_for(true, Some(directives)).unwrap(), lines.clone());
        if is_json {
            tracing::subscriber::with_default(json(filter, writer), print_everywhere);
        } else {
            tracing::subscriber::with_default(text(filter, writer, false), print_everywhere);
        }
        lines.text()
    }

    fn print_everywhere() {
        macro_rules! print_as {
            ($($target:literal)*) => {
                $(
                    // Fields of spans are printed with every line inside.
                    let span = tracing::trace_span!(target: $target, "Connection", key = "sk-span-canary");
                    let _inside = span.enter();
                    tracing::trace!(target: $target, authorization = "Bearer sk-canary", "trace {}", $target);
                    tracing::debug!(target: $target, authorization = "Bearer sk-canary", "debug {}", $target);
                    tracing::info!(target: $target, "info {}", $target);
                    tracing::warn!(target: $target, "warn {}", $target);
                )*
            };
        }
        // With names that begin like the gateway's own, or hold one.
        print_as!("h2" "h2::codec::framed_write" "hyper::proto::h1::io" "hyper_util::client" "rustls::client" "sqlx::query"
            "sqlx_postgres::connection" "redis::client" "tokio_util" "a_crate_of_tomorrow" "gateway" "gatewayless" "my_gateway_core");
        tracing::trace!(target: "gateway_core::attempt", "own");
        tracing::debug!(target: "gateway_server", "own");
        tracing::info!(target: "access", "own");
    }

    #[test]
    fn no_directive_has_a_crate_below_print_what_it_sees() {
        for directives in [
            "trace",
            "h2=trace",
            "debug,h2::codec::framed_write=trace,hyper::proto=trace",
            "gateway=trace,gatewayless=trace,my_gateway_core=trace,a_crate_of_tomorrow=trace",
            "rustls=trace,sqlx=trace,sqlx_postgres=debug,redis=trace",
            "[Connection]=trace",
            "[{key}]=trace",
            "trace,access=off,gateway_core=off",
        ] {
            for is_json in [true, false] {
                let text = logged(directives, is_json);
                for canary in ["sk-canary", "sk-span-canary", "trace ", "debug "] {
                    assert!(!text.contains(canary), "{directives} (JSON: {is_json}) prints {canary}: {text}");
                }
            }
        }
    }

    #[test]
    fn the_gateways_own_lines_are_at_whatever_level_is_asked_for() {
        let text = logged("trace", false);
        assert_eq!(text.matches("own").count(), 3, "{text}");
        for line in ["info h2::codec", "warn sqlx::query", "info a_crate_of_tomorrow"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        // That of the access log among them, which is not asked for.
        assert_eq!(logged("warn,gateway_core=trace", false).matches("own").count(), 2);
        for directives in ["warn", "error", "gateway_core=debug"] {
            assert!(logged(directives, true).contains(r#""target":"access""#), "{directives}");
        }
        assert_eq!(logged("off", true), "");
        let usual = logged(filter::DEFAULT, true);
        assert!(!usual.contains("warn h2") && usual.contains("info sqlx::query"), "{usual}");
    }

    #[test]
    fn a_terminal_gets_text_unless_json_is_asked_for() {
        let shapes = [LineFormat::Auto, LineFormat::Json, LineFormat::Text];
        assert_eq!(shapes.map(|shape| shape.is_json(true)), [false, true, false]);
        assert_eq!(shapes.map(|shape| shape.is_json(false)), [true, true, false]);
    }
}
