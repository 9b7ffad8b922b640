//! What can go wrong between this process and an upstream, told by the phase in which it went wrong.
//!
//! Retry, breaker and the caller's status depend on the phase and on nothing else, so the phase is data
//! ([`UpstreamErrorKind`]) and everything more is the source of the error, for the log.

use std::fmt;

use gateway_call::{Outcome, TimeoutPhase};
use thiserror::Error;

/// Any error, for sources of which only the text matters.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The phase in which an exchange with an upstream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpstreamErrorKind {
    /// The host name has no address.
    Resolve,
    /// No address accepted a TCP connection.
    Connect,
    /// The TLS handshake failed; most often the certificate was not accepted.
    Tls,
    /// Name lookup, TCP and TLS together took longer than the `connect` timeout.
    ConnectTimeout,
    /// The connection broke before the head of the answer was complete.
    Reset,
    /// The request was sent, and no response head came within the `headers` timeout.
    HeadersTimeout,
    /// The connection broke, or the stream was reset, before the body of the answer was complete.
    BodyReset,
    /// No part of the body came within the `idle` timeout.
    IdleTimeout,
    /// The deadline of the whole call passed.
    TotalTimeout,
    /// The source of the request body failed; the upstream is not at fault.
    RequestBody,
    /// The answer breaks the rules of HTTP, or exceeds a limit on its head.
    Protocol,
    /// The answer came with a `content-encoding` that is not decoded here.
    UnsupportedEncoding,
    /// The answer inflated to more than [`MAX_DECODED`](crate::MAX_DECODED) bytes.
    DecodeTooLarge,
}

impl UpstreamErrorKind {
    /// The shared verdict for this kind of failure.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Resolve | Self::Connect | Self::Tls | Self::Reset => Outcome::Transport,
            // More is known than that a connection failed: an answer had begun.
            Self::BodyReset => Outcome::Truncated,
            Self::ConnectTimeout => Outcome::Timeout(TimeoutPhase::Connect),
            Self::HeadersTimeout => Outcome::Timeout(TimeoutPhase::Headers),
            Self::IdleTimeout => Outcome::Timeout(TimeoutPhase::Idle),
            Self::TotalTimeout => Outcome::Timeout(TimeoutPhase::Total),
            // The caller stopped sending: nothing was learned about the upstream.
            Self::RequestBody => Outcome::Cancelled,
            Self::Protocol | Self::UnsupportedEncoding | Self::DecodeTooLarge => Outcome::InvalidResponse,
        }
    }
}

impl fmt::Display for UpstreamErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the upstream's host name cannot be resolved; check it and the DNS of this machine",
            Self::Connect => "no connection to the upstream; check that its address and port are reachable from here",
            Self::Tls => "the TLS handshake with the upstream failed; check its certificate and the trusted roots",
            Self::ConnectTimeout => "connecting to the upstream took longer than the connect timeout",
            Self::Reset => "the upstream closed the connection before it answered",
            Self::HeadersTimeout => "the upstream sent no response head within the headers timeout",
            Self::BodyReset => "the upstream closed the connection in the middle of its answer",
            Self::IdleTimeout => "the upstream stopped sending for longer than the idle timeout",
            Self::TotalTimeout => "the call's total timeout passed while the upstream was answering",
            Self::RequestBody => "the source of the request body failed, so the request was abandoned",
            Self::Protocol => "the upstream's answer is not valid HTTP, or its head is too large",
            Self::UnsupportedEncoding => "the upstream's answer has a content-encoding that was not asked for",
            Self::DecodeTooLarge => "the upstream's compressed answer inflates beyond the limit",
        })
    }
}

/// A failed exchange with an upstream.
///
/// Neither the message nor any source holds a URL or a header, so both can be logged.
#[derive(Debug, Error)]
#[error("{kind}")]
pub struct UpstreamError {
    kind: UpstreamErrorKind,
    source: Option<BoxError>,
}

impl UpstreamError {
    /// An error that the kind describes completely.
    pub const fn new(kind: UpstreamErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error with what caused it.
    pub fn with_source(kind: UpstreamErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// The phase that failed.
    pub const fn kind(&self) -> UpstreamErrorKind {
        self.kind
    }

    /// What caused it; for [`UpstreamErrorKind::RequestBody`], the error that the body's source ended with.
    pub fn into_source(self) -> Option<BoxError> {
        self.source
    }

    /// The shared verdict on the attempt.
    pub const fn outcome(&self) -> Outcome {
        self.kind.outcome()
    }
}

/// Why an [`Upstream`](crate::Upstream) cannot be built from its configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The URL has another scheme than `http` or `https`, or none.
    #[error("an upstream's URL has to start with http:// or https://")]
    Scheme,
    /// The URL has no host.
    #[error("an upstream's URL has to name a host")]
    Host,
    /// The URL holds a user name or password, which would end up in logs.
    #[error("an upstream's URL must not hold a user name or password; configure the key instead")]
    UserInfo,
    /// The TLS library refused its own defaults or the extra root certificates.
    #[error("the trusted certificates cannot be used; check the extra root certificates")]
    Trust(#[source] rustls::Error),
}
