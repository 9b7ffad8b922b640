//! The one shared verdict on an attempt.

use std::time::Duration;

/// Which timeout ended an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutPhase {
    /// Name lookup, TCP and TLS.
    Connect,
    /// From the request to the response head.
    Headers,
    /// From the start of an attempt to the first frame with content.
    FirstToken,
    /// Between two frames, or two parts of a body.
    Idle,
    /// The whole call.
    Total,
}

/// What came of one attempt at an upstream.
///
/// Retry, breaker, health, metrics and the caller's status are all functions of this value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A usable answer.
    Success,
    /// The upstream found fault with the request itself; no other upstream would think otherwise.
    ClientFault,
    /// The request is larger than the model's context; a model with a larger one may take it.
    ContextLength,
    /// The upstream does not know the model.
    ModelMissing,
    /// The upstream refused our credential (401, 402, 403).
    CredentialsRejected,
    /// The upstream asked us to slow down (429).
    RateLimited {
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The upstream has no capacity (503, 529).
    Overloaded {
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The upstream failed in a way that may pass (500, 502, 504, 408).
    ServerError,
    /// The answer was not what the protocol promises: not JSON, an error inside a success, a redirect.
    InvalidResponse,
    /// No connection, or it broke before the answer was complete.
    Transport,
    /// An answer ended before it was complete: a body before its length, a stream before the protocol's own end.
    Truncated,
    /// A timeout ran out.
    Timeout(TimeoutPhase),
    /// The caller went away.
    Cancelled,
}

impl Outcome {
    /// A short constant name for logs, metrics and the answer's trail of attempts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ClientFault => "client_fault",
            Self::ContextLength => "context_length",
            Self::ModelMissing => "model_missing",
            Self::CredentialsRejected => "credentials_rejected",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } => "overloaded",
            Self::ServerError => "server_error",
            Self::InvalidResponse => "invalid_response",
            Self::Transport => "transport",
            Self::Truncated => "truncated",
            Self::Timeout(TimeoutPhase::Connect) => "connect_timeout",
            Self::Timeout(TimeoutPhase::Headers) => "headers_timeout",
            Self::Timeout(TimeoutPhase::FirstToken) => "first_token_timeout",
            Self::Timeout(TimeoutPhase::Idle) => "idle_timeout",
            Self::Timeout(TimeoutPhase::Total) => "total_timeout",
            Self::Cancelled => "cancelled",
        }
    }
}
