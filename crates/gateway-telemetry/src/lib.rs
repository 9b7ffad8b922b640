//! What an operator sees of the calls: the access log, the metrics, and how the process logs at all.
//!
//! [`AccessLog`] observes calls and writes one line for each when it settles; [`Metrics`] counts them for Prometheus, and
//! [`Observers`] is both, with whatever else wants to know. [`start_logging`] sets the process up to write lines as text or
//! JSON without ever making a call wait: a reader that does not keep up loses lines, as one that is gone does, and the loss is counted.
//!
//! This crate decides nothing about a call and sees neither bodies nor keys.
//!
//! ```
//! use gateway_call::{Event, Observer};
//! use gateway_telemetry::{Format, Metrics, Readings};
//!
//! let metrics = Metrics::new();
//! metrics.on_event(&Event::Arrived { path: "/v1/embeddings" });
//! let text = metrics.encode(Format::Text, &Readings::default());
//! assert!(text.contains("llm_proxy_active_requests{endpoint=\"/v1/embeddings\"} 1\n"));
//! ```

mod access_log;
#[cfg(test)]
mod captured;
mod line;
mod logging;
mod metrics;
mod observers;

pub use access_log::AccessLog;
pub use logging::{DroppedLines, LineFormat, LogGuard, LoggingError, start_logging};
pub use metrics::{CircuitState, Format, Metrics, ProviderReading, Readings, Reloads};
pub use observers::Observers;
