//! Traces: spans of settled calls, exported over OTLP/HTTP.
//!
//! [`Traces`] observes calls. Of each that is recorded it takes what the span will say and puts it into a bounded queue, which is all
//! that happens on the path of the call. An [`Exporter`], which the process runs beside its calls, makes a span of each call and one
//! of each attempt, and sends them in batches through the gateway's own client. A receiver that does not keep up costs spans, never
//! a call: what does not fit the queue is dropped and counted.
//!
//! This crate begins no trace and chooses no identifier: those come with the call, since its upstreams were told of them already. It
//! sees no body, and of what callers write nothing but the request's identifier becomes part of a span.
//!
//! Start with [`Settings`].
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_call::Observer;
//! use gateway_traces::{Settings, Traces};
//!
//! # async fn start(environment: std::collections::HashMap<String, String>) -> Result<(), Box<dyn std::error::Error>> {
//! if let Some(settings) = Settings::from_env(&|name| environment.get(name).cloned())? {
//!     let (traces, exporter) = Traces::new(settings)?;
//!     let observer: Box<dyn Observer> = Box::new(traces);
//!     let stop = async { /* until the process stops */ };
//!     tokio::spawn(exporter.run(stop, Duration::from_secs(5)));
//! }
//! # Ok(())
//! # }
//! ```

mod convention;
mod delivery;
mod exporter;
mod journal;
mod otlp;
mod sampler;
mod settings;
mod settled;
mod span;
mod traces;

pub use exporter::Exporter;
pub use sampler::Sampler;
pub use settings::{Settings, SettingsError, SettingsProblem};
pub use traces::Traces;
