//! What an operator sees of the calls: the access log, and how the process logs at all.
//!
//! [`AccessLog`] observes calls and writes one line for each when it settles. [`start_logging`] sets the process up to
//! write lines as text or JSON without ever making a call wait: a reader that does not keep up loses lines, and the
//! loss is counted.
//!
//! This crate decides nothing about a call and sees neither bodies nor keys.
//!
//! ```
//! use gateway_call::Observer;
//! use gateway_telemetry::AccessLog;
//!
//! let observer: Box<dyn Observer> = Box::new(AccessLog);
//! ```

mod access_log;
mod logging;

pub use access_log::AccessLog;
pub use logging::{LineFormat, LogGuard, LoggingError, start_logging};
