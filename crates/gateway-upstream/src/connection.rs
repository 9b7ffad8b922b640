//! Connections to an upstream, and what a call holds of one while it uses it.
//!
//! An HTTP/1 connection serves one exchange at a time, so the call owns it: dropping it closes the socket. An HTTP/2
//! connection is shared, so the call owns one of its streams, and a task that belongs to the connection drives it.

mod h1;
mod h2;

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::SizeHint;

use crate::alarm::Alarm;
use crate::{SourceFailed, UpstreamError, UpstreamErrorKind};
pub(crate) use h1::{Fault, H1};
pub(crate) use h2::{H2, H2Stream, drive};

/// The most headers that the head of an answer may have; hyper's default too.
pub(crate) const MAX_HEADERS: usize = 100;
/// The largest head of an answer, in bytes: what nginx, HAProxy and Envoy let pass at most by default is 4 to 60 KiB.
const MAX_HEAD: u32 = 64 * 1024;

/// The part of a connection that one exchange holds.
#[derive(Debug)]
pub(crate) enum Link {
    /// A whole connection.
    H1(H1),
    /// One stream of a shared connection.
    H2(H2Stream),
}

impl Link {
    /// The timer for the waits of this exchange.
    pub(crate) fn alarm(&mut self) -> &mut Alarm {
        match self {
            Self::H1(connection) => &mut connection.alarm,
            Self::H2(stream) => &mut stream.alarm,
        }
    }

    /// Waits for the next data of the answer's body.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        match self {
            Self::H1(connection) => connection.poll_data(cx).map(|data| data.map(|data| data.map_err(body_fault))),
            Self::H2(stream) => stream.poll_data(cx).map(|data| data.map(|data| data.map_err(body_error))),
        }
    }

    /// Whether the whole answer was read.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::H1(connection) => connection.is_over(),
            Self::H2(stream) => stream.is_over(),
        }
    }

    /// How much of the answer's body is left.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::H1(connection) => connection.left().map(SizeHint::with_exact).unwrap_or_default(),
            Self::H2(stream) => stream.size_hint(),
        }
    }
}

/// What a fault of an HTTP/1 connection means in the middle of an answer's body.
fn body_fault(fault: Fault) -> UpstreamError {
    match fault {
        Fault::Source => UpstreamError::with_source(UpstreamErrorKind::RequestBody, SourceFailed),
        Fault::Malformed(malformed) => UpstreamError::with_source(UpstreamErrorKind::Protocol, malformed),
        Fault::Broken(error) => UpstreamError::with_source(UpstreamErrorKind::BodyReset, error),
    }
}

/// The same of an HTTP/2 stream.
fn body_error(error: hyper::Error) -> UpstreamError {
    UpstreamError::with_source(UpstreamErrorKind::BodyReset, error)
}
