//! The wire of an HTTP/1.1 connection: one request out, one answer in, at the same time.
//!
//! Nothing of an answer is read ahead of whoever asks for it, and a stream that waits holds no memory for what will come
//! (`read_buffer.rs`).
//!
//! An upstream that refuses a large upload answers and closes, and the upload may be the first to notice. So a write to a peer that has
//! hung up is no failure of the exchange: the upload stands still, and reading tells the truth at once, the answer or the
//! end.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::unconstrained;
use tracing::debug;

use super::Malformed;
use super::framing::{Announced, Framing};
use super::head::take_head;
use super::outgoing::{Outgoing, SendFault};
use super::read_buffer;
use crate::RequestBody;
use crate::connection::MAX_HEAD;
use crate::socket::Socket;

/// How much is read at once: as much as a record of TLS holds.
const READ: usize = 16 * 1024;

/// Why an exchange cannot go on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The source of the request's body failed.
    Source,
    /// What came is no answer.
    Malformed(Malformed),
    /// The connection broke or ended, and a part of the answer may have come before.
    Broken(io::Error),
}

/// A connection with the exchange that it serves.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    /// Where heads of requests are written, one after the other.
    heads: BytesMut,
    sending: Sending,
    /// What was read and not taken yet.
    received: Bytes,
    answer: Answer,
    /// Bytes of answers before the final one.
    interim: usize,
    /// Whether the request was `HEAD`, whose answers have no body.
    is_head: bool,
    was_heard: bool,
    is_kept: bool,
}

/// How far the request was sent.
#[derive(Debug)]
enum Sending {
    /// There is nothing more to send.
    Done,
    Under(Outgoing),
    /// The peer takes no more.
    HungUp(Outgoing),
    /// The body's source has failed.
    Failed,
}

/// How far the answer was read.
#[derive(Debug)]
enum Answer {
    /// Of its head, so many bytes were looked at.
    Head(usize),
    Body(Framing),
}

impl Wire {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            heads: BytesMut::new(),
            sending: Sending::Done,
            received: Bytes::new(),
            answer: Answer::Head(0),
            interim: 0,
            is_head: false,
            was_heard: false,
            is_kept: true,
        }
    }

    /// Begins an exchange; the connection has to be [quiet](Self::is_quiet).
    pub(super) fn begin(&mut self, request: &mut Request<RequestBody>, host: &HeaderValue) {
        self.is_head = request.method() == Method::HEAD;
        self.sending = Sending::Under(Outgoing::new(request, host, &mut self.heads));
        (self.answer, self.interim, self.was_heard) = (Answer::Head(0), 0, false);
    }

    /// Whether a byte has come in answer.
    pub(super) fn was_heard(&self) -> bool {
        self.was_heard
    }

    /// Whether the connection has not taken a byte of the request.
    pub(super) fn is_untouched(&self) -> bool {
        match &self.sending {
            Sending::Under(outgoing) | Sending::HungUp(outgoing) => outgoing.is_untouched(),
            Sending::Done | Sending::Failed => false,
        }
    }

    /// The body that streams, of a request of which the connection has not taken a byte.
    pub(super) fn give_back(&mut self) -> Option<RequestBody> {
        match &mut self.sending {
            Sending::Under(outgoing) | Sending::HungUp(outgoing) => outgoing.give_back(),
            Sending::Done | Sending::Failed => None,
        }
    }

    /// Sends what can be sent now; ready when nothing more will be.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Sending::Under(outgoing) = &mut self.sending else { return Poll::Ready(()) };
        let sent = ready!(outgoing.poll_send(&mut self.socket, cx));
        self.sending = match (sent, std::mem::replace(&mut self.sending, Sending::Done)) {
            (Err(SendFault::Source), _) => Sending::Failed,
            (Err(SendFault::Io(error)), Sending::Under(outgoing)) => {
                debug!(%error, "the upstream takes no more of a request");
                Sending::HungUp(outgoing)
            }
            _ => Sending::Done,
        };
        Poll::Ready(())
    }

    /// Reads the head of the answer. Answers before the final one (RFC 9110, section 15.2) are skipped.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Fault>> {
        loop {
            if let Some(head) = self.take_head().map_err(Fault::Malformed)? {
                return Poll::Ready(Ok(head));
            }
            if !ready!(self.poll_more(cx))? {
                return Poll::Ready(Err(Self::broken()));
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<Response<()>>, Malformed> {
        while let Answer::Head(seen) = &mut self.answer
            && !self.received.is_empty()
        {
            let len = self.received.len();
            let Some(head) = take_head(&mut self.received, *seen)? else {
                *seen = len;
                break;
            };
            *seen = 0;
            if head.status() == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Malformed("the answer changes to another protocol, which nobody asked for"));
            }
            if !head.status().is_informational() {
                let announced = Announced::by(head.status(), head.version(), head.headers(), self.is_head)?;
                (self.answer, self.is_kept) = (Answer::Body(announced.framing), announced.is_kept);
                return Ok(Some(head));
            }
            self.interim += len - self.received.len();
            if self.interim > MAX_HEAD as usize {
                return Err(Malformed("there is no end of answers before the final one"));
            }
        }
        Ok(None)
    }

    /// The next data of the answer's body.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            let Answer::Body(framing) = &mut self.answer else { return Poll::Ready(None) };
            let data = framing.next(&mut self.received).map_err(Fault::Malformed)?;
            if self.received.is_empty() {
                // What is left of it would keep the thread's memory from being used again.
                self.received = Bytes::new();
            }
            if let Some(data) = data {
                return Poll::Ready(Some(Ok(data)));
            }
            if framing.is_over() {
                return Poll::Ready(None);
            }
            let ends_with_connection = matches!(framing, Framing::Close);
            if !ready!(self.poll_more(cx))? {
                self.is_kept = false;
                if ends_with_connection {
                    self.answer = Answer::Body(Framing::Length(0));
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(Err(Self::broken())));
            }
        }
    }

    /// Whether the whole answer was read.
    pub(super) fn is_over(&self) -> bool {
        matches!(&self.answer, Answer::Body(framing) if framing.is_over())
    }

    /// How many bytes of the answer's body are left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.answer {
            Answer::Head(_) => None,
            Answer::Body(framing) => framing.left(),
        }
    }

    /// Whether it can serve another exchange behind this one.
    pub(super) fn is_clean(&self) -> bool {
        matches!(self.sending, Sending::Done) && self.is_kept && self.is_over() && self.received.is_empty()
    }

    /// Whether the peer has neither closed the connection nor said anything that nobody asked for; arranges for `cx` to be woken when
    /// it does.
    pub(super) fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        let mut space = [MaybeUninit::uninit()];
        let mut read = ReadBuf::uninit(&mut space);
        // To a task that has used up its turn every peer would seem quiet.
        pin!(unconstrained(poll_fn(|cx| Pin::new(&mut self.socket).poll_read(cx, &mut read)))).poll(cx).is_pending()
    }

    /// Reads more; false at the end. A request whose source has failed is a fault once nothing more of an answer is there.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        let has_failed = matches!(self.sending, Sending::Failed);
        match self.poll_fill(cx) {
            Poll::Ready(Ok(true)) => Poll::Ready(Ok(true)),
            _ if has_failed => Poll::Ready(Err(Fault::Source)),
            polled => polled.map_err(Fault::Broken),
        }
    }

    /// The connection ended before the answer did.
    fn broken() -> Fault {
        Fault::Broken(io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads what there is; false at the end of it.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [MaybeUninit::uninit(); READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
        let fresh = read.filled();
        if fresh.is_empty() {
            return Poll::Ready(Ok(false));
        }
        self.was_heard = true;
        self.received = if self.received.is_empty() {
            read_buffer::copy_of(fresh)
        } else {
            let before = std::mem::take(&mut self.received);
            let mut joined = before.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
            joined.extend_from_slice(fresh);
            joined.freeze()
        };
        Poll::Ready(Ok(true))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;
    use std::net::TcpListener;
    use std::task::Waker;

    use tokio::net::TcpStream;
    use tokio::task::{consume_budget, coop};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_has_spoken_is_not_quiet_to_a_task_that_has_used_up_its_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let mut wire = Wire::new(Socket::Plain(socket));
        assert!(wire.is_quiet(&mut cx));
        peer.write_all(b"x").unwrap();
        let Socket::Plain(socket) = &wire.socket else { panic!("not the socket that it was made of") };
        socket.readable().await.unwrap();
        while coop::has_budget_remaining() {
            consume_budget().await;
        }
        assert!(!wire.is_quiet(&mut cx));
    }
}
