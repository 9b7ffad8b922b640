//! How long each phase of an exchange may take.
//!
//! Every phase has its own limit because the phases fail for different reasons: an address that swallows packets is
//! known after seconds, while a model may think for a minute before its first token.

use std::time::Duration;

use gateway_call::Deadline;

/// The resolved time limits of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name lookup, TCP and TLS together.
    pub connect: Duration,
    /// From the end of the request to the response head.
    pub headers: Duration,
    /// From the start of an attempt to the first frame of a stream that carries content. Kept by the caller of this crate.
    pub first_token: Duration,
    /// Between two parts of a body.
    pub idle: Duration,
    /// The whole call with all its attempts. Kept as the [`Deadline`] of [`SendLimits`].
    pub total: Duration,
}

/// 5 s to connect, 60 s for each silence, 10 min in all: the official OpenAI SDKs give up after 10 min as well
/// (`openai-python`, `DEFAULT_TIMEOUT`: 600 s in all, 5 s to connect).
impl Default for Timeouts {
    fn default() -> Self {
        let minute = Duration::from_mins(1);
        Self {
            connect: Duration::from_secs(5),
            headers: minute,
            first_token: minute,
            idle: minute,
            total: Duration::from_mins(10),
        }
    }
}

/// The time limits of one [`send`](crate::Upstream::send).
#[derive(Debug, Clone, Copy)]
pub struct SendLimits {
    /// Name lookup, TCP and TLS together; waiting for a connection that another call is opening counts too.
    pub connect: Duration,
    /// From the end of the request to the response head. An upload still in progress is bounded by `deadline` only.
    pub headers: Duration,
    /// The end of everything, the response body included.
    pub deadline: Deadline,
}
