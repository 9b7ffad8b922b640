//! One HTTP/1.1 connection, driven by whoever holds it.
//!
//! hyper splits a connection into a sender of requests and a future that does the reading and writing, and expects the
//! future in a task of its own. Two tasks to a call cost a switch for the request and one for each part of the answer.
//! So the call that holds the connection polls that future itself, in its own task. A connection that rests in the pool is
//! polled by nobody; if the upstream closes it, the keeper of the pool is woken.

mod bell;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::task::coop::{has_budget_remaining, unconstrained};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use self::bell::Bell;
use super::MAX_HEAD;
use crate::alarm::Alarm;
use crate::request::Upload;
use crate::socket::{Hearing, Socket};
use crate::{RequestBody, UpstreamError, UpstreamErrorKind};

type Connection = http1::Connection<TokioIo<Socket>, RequestBody>;

/// A connection that serves one exchange at a time.
///
/// Dropping it closes the socket, whatever the state of the exchange. hyper closes after a dropped future or body as
/// well, but first finishes or drains what it is at, which is not ours to depend on.
#[derive(Debug)]
pub(crate) struct H1 {
    pub(crate) sender: http1::SendRequest<RequestBody>,
    pub(crate) hearing: Arc<Hearing>,
    pub(crate) alarm: Alarm,
    driver: Driver,
    bell: Arc<Bell>,
    /// Wakes whoever has to poll the driver; made once, since hyper and tokio keep it.
    waker: Waker,
    home: Id,
}

/// Who polls hyper's half of the connection.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the connection around it is boxed, and this is what it usually is")]
enum Driver {
    /// Whoever holds the connection, while they wait for something from it.
    Holder(Connection),
    /// A task, for as long as a body is streamed up: the caller may read nothing of an answer until all of its body was taken, and
    /// who is not read from polls nothing.
    Upload(AbortOnDropHandle<Option<Connection>>),
    /// Nobody any more, since it has ended.
    Ended,
}

impl H1 {
    /// A connection over a socket of the present runtime. `disturbed` is notified when something happens to it at rest.
    pub(crate) async fn open(socket: Socket, disturbed: Arc<Notify>) -> Result<Box<Self>, UpstreamError> {
        let hearing = socket.hearing();
        let (sender, connection) = http1::Builder::new()
            .max_header_size(MAX_HEAD as usize)
            .handshake(TokioIo::new(socket.read_on_hang_up()))
            .await
            .map_err(|error| UpstreamError::with_source(UpstreamErrorKind::Connect, error))?;
        let bell = Arc::new(Bell::new(disturbed));
        let waker = Waker::from(Arc::clone(&bell));
        let driver = Driver::Holder(connection);
        let home = Handle::current().id();
        Ok(Box::new(Self { sender, hearing, alarm: Alarm::new(), driver, bell, waker, home }))
    }

    /// The runtime whose threads hear of what happens on the socket.
    pub(crate) fn home(&self) -> Id {
        self.home
    }

    /// Has the connection driven for as long as this body is sent.
    pub(crate) fn send_behind(&mut self, upload: Arc<Upload>) {
        self.driver = match std::mem::replace(&mut self.driver, Driver::Ended) {
            Driver::Holder(connection) => {
                Driver::Upload(AbortOnDropHandle::new(tokio::spawn(drive_upload(connection, upload))))
            }
            other => other,
        };
    }

    /// Goes on with whatever can be gone on with, and arranges for `cx` to be woken when there is more.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        self.bell.ring_for(cx.waker());
        if let Driver::Upload(task) = &mut self.driver {
            let Poll::Ready(connection) = Pin::new(task).poll(cx) else { return };
            self.driver = Driver::returned(connection.ok().flatten());
        }
        self.driver.poll(&self.waker);
    }

    /// Takes what the driver may have left, by asking one of hyper's ends for it, and drives if there is nothing.
    ///
    /// The end that is asked tells the driver that there is room again, which would wake the very task that is here. That is not let
    /// through: either it has got something and will ask again, or the driver is polled at once.
    pub(crate) fn take<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if matches!(self.driver, Driver::Upload(_)) {
            self.drive(cx);
            return ask(cx);
        }
        let unheard = &mut Context::from_waker(Waker::noop());
        loop {
            self.bell.hush();
            let left = ask(unheard);
            if left.is_ready() {
                return left;
            }
            self.drive(cx);
            self.bell.hush();
            let come = ask(unheard);
            if come.is_ready() || !self.bell.ring_for(cx.waker()) {
                // Where the task has used up its turn, whoever was asked says so to a waker that nobody hears.
                if !has_budget_remaining() {
                    cx.waker().wake_by_ref();
                }
                return come;
            }
        }
    }

    /// Lets go of the connection: it finishes what it is at, and says whether it can serve another call.
    pub(crate) fn rest(&mut self) -> bool {
        if let Driver::Upload(task) = &mut self.driver {
            // It has nothing more to send, but may not have noticed yet.
            match pin!(unconstrained(task)).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(connection) => self.driver = Driver::returned(connection.ok().flatten()),
                Poll::Pending => return false,
            }
        }
        self.bell.rest();
        self.is_ready()
    }

    /// Whether it can serve another call. Notices if the upstream has closed it meanwhile.
    pub(crate) fn is_ready(&mut self) -> bool {
        self.driver.poll(&self.waker);
        self.sender.is_ready()
    }

    /// Takes the connection for a call, if it can serve one. The request that it is given next is no disturbance.
    pub(crate) fn take_up(&mut self) -> bool {
        let is_ready = self.is_ready();
        if is_ready {
            self.bell.hush();
        }
        is_ready
    }
}

impl Driver {
    fn returned(connection: Option<Connection>) -> Self {
        connection.map_or(Self::Ended, Self::Holder)
    }

    fn poll(&mut self, waker: &Waker) {
        if let Self::Holder(connection) = self
            && let Poll::Ready(ended) = Pin::new(connection).poll(&mut Context::from_waker(waker))
        {
            note(ended);
            *self = Self::Ended;
        }
    }
}

/// Drives a connection until the body was sent; returns it if it lives on.
async fn drive_upload(mut connection: Connection, upload: Arc<Upload>) -> Option<Connection> {
    let is_sent = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(ended) => {
            note(ended);
            Poll::Ready(false)
        }
        Poll::Pending if upload.ended().is_some() => Poll::Ready(true),
        Poll::Pending => Poll::Pending,
    });
    is_sent.await.then_some(connection)
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%error, "upstream connection ended");
    }
}
