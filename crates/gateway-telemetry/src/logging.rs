//! How the process writes its log.
//!
//! Lines go to standard error through a bounded queue and a thread of its own. When the reader of standard error
//! stalls, the queue fills and further lines are dropped: a log must never hold up a call.
//!
//! What the gateway's own crates log holds no secret, at any level: credentials are of a type that cannot be printed, and tests
//! look for canaries at `trace`. The crates below them handle the same credentials as plain bytes: the HTTP crates write headers, the
//! clients of stores write passwords, TLS derives keys. Nobody promises what those print for debugging, or will print in their next
//! version. So they are held to `info`, by a second filter that `RUST_LOG` cannot change: see [`GUARDED`]. It names who is let
//! through rather than who is not, so that a new dependency is held to it too. Lines of the `log` crate, which rustls writes, go nowhere.

use std::io::{IsTerminal, stderr};

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Lines held for a slow reader before further ones are dropped: a few megabytes.
const QUEUED_LINES: usize = 16_384;

/// What is logged unless `RUST_LOG` says otherwise. hyper warns of things that callers do, such as hanging up.
const DEFAULT_FILTER: &str = "info,hyper=error,h2=error,rustls=error";

/// The most that is ever logged of what is not the gateway's own. At `info` and above, crates say what an operator is to know.
const GUARDED: Level = Level::INFO;

/// What the names of the gateway's own crates begin with, and so the targets of their lines.
const OWN: &str = "gateway_";

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
/// Whatever the directives say, crates that are not the gateway's own log nothing below `info`, because what they print for
/// debugging may hold keys. An embedder with other wishes sets up `tracing` itself; the access log is an event like any other.
///
/// # Errors
///
/// Directives that cannot be parsed, or a log that was started before.
pub fn start_logging(format: LineFormat, access: bool, directives: Option<&str>) -> Result<LogGuard, LoggingError> {
    let filter = filter(access, directives)?;
    let (writer, worker) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES).finish(stderr());
    let dropped = writer.error_counter();
    let on_terminal = stderr().is_terminal();
    let started = if format.is_json(on_terminal) {
        json(filter, writer).try_init()
    } else {
        text(filter, writer, on_terminal).try_init()
    };
    started.map_err(|source| LoggingError::AlreadyStarted { source })?;
    Ok(LogGuard { _worker: worker, dropped })
}

fn filter(access: bool, directives: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let directives = directives.map(str::trim).filter(|text| !text.is_empty()).unwrap_or(DEFAULT_FILTER);
    let access = if access { "" } else { ",access=off" };
    EnvFilter::builder().parse(format!("{directives}{access}")).map_err(|source| LoggingError::Filter { source })
}

/// What holds whatever the directives say.
fn guard() -> Targets {
    Targets::new().with_default(GUARDED).with_target(OWN, LevelFilter::TRACE)
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).json();
    lines.flatten_event(true).with_current_span(false).with_span_list(false).finish().with(guard())
}

fn text<W>(filter: EnvFilter, writer: W, with_colours: bool) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(with_colours).finish().with(guard())
}

impl LineFormat {
    fn is_json(self, on_terminal: bool) -> bool {
        self == Self::Json || (self == Self::Auto && !on_terminal)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn directives_are_checked_and_the_access_log_can_be_switched_off() {
        assert!(filter(true, Some("info,gateway_core=debug")).is_ok());
        assert!(matches!(filter(true, Some("gateway_core=louder")), Err(LoggingError::Filter { .. })));
        assert!(filter(false, None).unwrap().to_string().contains("access=off"));
        assert!(!filter(true, Some("  ")).unwrap().to_string().contains("access"));
    }

    /// What a process with these directives logs when crates of all kinds print a header at every level.
    fn logged(directives: &str, is_json: bool) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let (filter, writer) = (filter(true, Some(directives)).unwrap(), move || writer.clone());
        if is_json {
            tracing::subscriber::with_default(json(filter, writer), print_everywhere);
        } else {
            tracing::subscriber::with_default(text(filter, writer, false), print_everywhere);
        }
        let text = lines.0.lock().clone();
        String::from_utf8(text).unwrap()
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
        assert_eq!(logged("warn,gateway_core=trace", false).matches("own").count(), 1);
        assert_eq!(logged("off", true), "");
        let usual = logged(DEFAULT_FILTER, true);
        assert!(!usual.contains("warn h2") && usual.contains("info sqlx::query"), "{usual}");
    }

    #[test]
    fn a_terminal_gets_text_unless_json_is_asked_for() {
        let shapes = [LineFormat::Auto, LineFormat::Json, LineFormat::Text];
        assert_eq!(shapes.map(|shape| shape.is_json(true)), [false, true, false]);
        assert_eq!(shapes.map(|shape| shape.is_json(false)), [true, true, false]);
    }
}
