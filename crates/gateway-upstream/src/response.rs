//! The body of an answer, read at the caller's speed.
//!
//! The body holds the connection that it comes from. Reaching the end puts the connection back into the pool, and
//! dropping the body earlier drops the connection with it, which is the whole of cancellation. Nothing is read ahead
//! of the caller but what is read from the socket at once, and what fits the buffers of HTTP/2 and the kernel.

mod decoded;
mod received;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};

use crate::{UpstreamError, UpstreamErrorKind};
pub use decoded::MAX_DECODED;
use decoded::{Coding, Decoded};
pub(crate) use received::{Hold, Received};

/// The body of an answer. An error ends it; a body that was cut short never ends without one.
pub struct ResponseBody(Source);

enum Source {
    Received(Received),
    Decoded(Box<Decoded>),
}

impl ResponseBody {
    /// The same body with an idle timeout, see [`set_idle`](Self::set_idle).
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.set_idle(idle);
        self
    }

    /// From the next wait on, the body fails with `IdleTimeout` when no part of it comes for this long. Until this is
    /// called only the deadline counts. The time runs while the body is polled, so a slow reader does not use it up.
    pub fn set_idle(&mut self, idle: Duration) {
        match &mut self.0 {
            Source::Received(received) => received.set_idle(idle),
            Source::Decoded(decoded) => decoded.set_idle(idle),
        }
    }

    /// Undoes the `content-encoding` of an answer, and drops the headers that spoke of the encoded bytes.
    ///
    /// `identity` was asked for, but a server may compress all the same (RFC 9110, section 12.5.3). An answer without a body, as is that to
    /// `HEAD`, has its headers as if it had one.
    pub(crate) fn decode(response: Response<Received>) -> Result<Response<Self>, UpstreamError> {
        let (mut head, received) = response.into_parts();
        let coding =
            Coding::of(&head.headers).map_err(|_| UpstreamError::new(UpstreamErrorKind::UnsupportedEncoding))?;
        if coding.is_some() {
            head.headers.remove(CONTENT_LENGTH);
            head.headers.remove(CONTENT_ENCODING);
        }
        let source = match coding.filter(|_| !received.is_end_stream()) {
            None => Source::Received(received),
            Some(coding) => Source::Decoded(Box::new(Decoded::new(coding, received, MAX_DECODED))),
        };
        Ok(Response::from_parts(head, Self(source)))
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.0 {
            Source::Received(_) => "received",
            Source::Decoded(_) => "decoded",
        };
        write!(f, "ResponseBody({source})")
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match &mut self.get_mut().0 {
            Source::Received(received) => Pin::new(received).poll_frame(cx),
            Source::Decoded(decoded) => decoded.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Received(received) => received.is_end_stream(),
            // Its end is known only from reading on.
            Source::Decoded(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Received(received) => received.size_hint(),
            Source::Decoded(_) => SizeHint::default(),
        }
    }
}
