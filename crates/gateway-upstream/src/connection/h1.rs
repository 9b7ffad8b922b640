//! One HTTP/1.1 connection, driven by whoever holds it.
//!
//! hyper serves callers and speaks HTTP/2, but not HTTP/1.1 to upstreams: its client wants a task for each connection, hands
//! requests and answers over through channels, and keeps two buffers of 8 KiB, which together took more of a call's time and of a waiting
//! stream's memory than all that the gateway itself does. What is needed of the protocol towards an upstream is little: one
//! exchange at a time, no upgrades, no pipelining. Heads are read by `httparse`, as hyper does.
//!
//! A connection that rests in the pool is polled by nobody; if the upstream closes it, the keeper of the pool is woken.

mod chunks;
mod framing;
mod head;
mod outgoing;
mod read_buffer;
mod wire;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime::{Handle, Id};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::wire::Fault;
use self::wire::Wire;
use crate::RequestBody;
use crate::alarm::Alarm;
use crate::socket::Socket;

/// An answer breaks the rules of HTTP/1.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct Malformed(&'static str);

/// A connection that serves one exchange at a time. Dropping it closes the socket, whatever the state of the exchange; with an
/// upload under way as soon as the runtime has dropped its task.
#[derive(Debug)]
pub(crate) struct H1 {
    pub(crate) alarm: Alarm,
    /// Locked for one poll at a time, never across a wait; only an upload shares it.
    wire: Arc<Mutex<Wire>>,
    /// Sends a body that streams: the caller may read nothing of an answer until all of its body was taken, and who is not read from
    /// polls nothing.
    upload: Option<AbortOnDropHandle<()>>,
    home: Id,
}

impl H1 {
    /// A connection over a socket of the present runtime.
    pub(crate) fn new(socket: Socket) -> Self {
        let wire = Arc::new(Mutex::new(Wire::new(socket)));
        Self { alarm: Alarm::new(), wire, upload: None, home: Handle::current().id() }
    }

    /// The runtime whose threads hear of what happens on the socket.
    pub(crate) fn home(&self) -> Id {
        self.home
    }

    /// Begins an exchange. The body of the request is taken if it streams, else copied.
    pub(crate) fn begin(&mut self, request: &mut Request<RequestBody>, host: &HeaderValue) {
        let is_streaming = request.body().is_streaming();
        self.wire.lock().begin(request, host);
        self.upload = is_streaming.then(|| AbortOnDropHandle::new(tokio::spawn(upload(Arc::clone(&self.wire)))));
    }

    /// Waits for the head of the answer, and sends the request meanwhile.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Fault>> {
        self.poll(cx, Wire::poll_head)
    }

    /// Waits for the next data of the answer's body, and sends what is left of the request meanwhile.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        self.poll(cx, Wire::poll_data)
    }

    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        receive: impl FnOnce(&mut Wire, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if let Some(upload) = &mut self.upload
            && Pin::new(upload).poll(cx).is_ready()
        {
            self.upload = None;
        }
        let mut wire = self.wire.lock();
        if self.upload.is_none() {
            // Whatever becomes of it shows in the answer.
            let _ = wire.poll_send(cx);
        }
        receive(&mut wire, cx)
    }

    /// Whether a byte has come in answer to the present request.
    pub(crate) fn was_heard(&self) -> bool {
        self.wire.lock().was_heard()
    }

    /// Whether the connection has not taken a byte of the present request.
    pub(crate) fn is_untouched(&self) -> bool {
        self.wire.lock().is_untouched()
    }

    /// The body that streams, of a request of which the connection has not taken a byte.
    pub(crate) fn give_back(&mut self) -> Option<RequestBody> {
        self.wire.lock().give_back()
    }

    /// Whether the whole answer was read.
    pub(crate) fn is_over(&self) -> bool {
        self.wire.lock().is_over()
    }

    /// How many bytes of the answer's body are left, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.wire.lock().left()
    }

    /// Whether it can serve another call behind a complete answer.
    pub(crate) fn is_clean(&mut self) -> bool {
        self.upload = None;
        self.wire.lock().is_clean()
    }

    /// Whether its upstream leaves it alone, so that it can serve a call; else `disturbed` is woken when that changes.
    pub(crate) fn is_quiet(&self, disturbed: &Waker) -> bool {
        self.wire.lock().is_quiet(&mut Context::from_waker(disturbed))
    }
}

/// Sends the request of a connection, as far as it can be sent.
async fn upload(wire: Arc<Mutex<Wire>>) {
    poll_fn(|cx| wire.lock().poll_send(cx)).await;
}
