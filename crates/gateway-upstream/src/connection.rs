//! Connections to an upstream, and what a call holds of one while it uses it.
//!
//! An HTTP/1 connection serves one exchange at a time, so the call owns it: dropping it closes the socket. An HTTP/2
//! connection is shared, so the call owns one of its streams, and a task that belongs to the connection drives it.

mod h1;
mod h2;

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::alarm::Alarm;
use crate::request::Upload;
use crate::socket::Hearing;
pub(crate) use h1::H1;
pub(crate) use h2::{H2, H2Stream, drive};

/// The most headers that the head of an answer may have. It is hyper's own limit for HTTP/1, and setting any makes hyper
/// allocate its table of headers anew for every answer (2 allocations and 8 KB).
pub(crate) const MAX_HEADERS: usize = 100;
/// The largest head of an answer, in bytes: what nginx, HAProxy and Envoy let pass at most by default is 4 to 60 KiB.
const MAX_HEAD: u32 = 64 * 1024;

/// The part of a connection that one exchange holds.
#[derive(Debug)]
pub(crate) enum Link {
    /// A whole connection. Boxed for life: it is moved from pool to call and back.
    H1(Box<H1>),
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

    /// Makes ready to send a body that is still arriving.
    pub(crate) fn send_behind(&mut self, upload: &Arc<Upload>) {
        if let Self::H1(connection) = self {
            connection.send_behind(Arc::clone(upload));
        }
    }

    /// Asks hyper for what has come on this link, and sees to it that it comes. `ask` gets the context to wait in.
    pub(crate) fn take<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        match self {
            Self::H1(connection) => connection.take(cx, ask),
            Self::H2(_) => ask(cx),
        }
    }

    /// Whether it is one of many that the connection may carry.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    pub(crate) fn hearing(&self) -> &Hearing {
        match self {
            Self::H1(connection) => &connection.hearing,
            Self::H2(stream) => stream.hearing(),
        }
    }
}
