//! One HTTP/2 connection, shared by many exchanges.
//!
//! hyper queues a request when the peer's limit of concurrent streams is used up, and a queued request may wait for
//! minutes behind slow answers. So the streams are counted here and a call that finds none free gets another
//! connection. The limit is the connection's own, read when a stream is claimed; to be readable from there, the
//! connection future stands in a slot that its task and the claims share.

mod hearing;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tracing::debug;

use self::hearing::HeardSocket;
pub(crate) use self::hearing::Hearing;
use super::MAX_HEAD;
use crate::alarm::Alarm;
use crate::pool::{Dialing, Pool};
use crate::socket::Socket;
use crate::{RequestBody, UpstreamError, UpstreamErrorKind};

/// Streams that we open on one connection at most, even where the peer allows more. RFC 9113, section 6.5.2,
/// recommends peers to allow at least 100; beyond that one lost packet holds up too many answers.
const MAX_STREAMS: usize = 100;

/// How much a stream may send ahead of its reader, in bytes: what a caller who does not read makes the gateway hold, beside what h2
/// takes for each frame, which it reckons at 256 bytes. So much comes in one round trip at most.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// How much all streams may together. More than they can, so that callers who do not read never stop the others: h2 ends a connection
/// when frames smaller than 256 bytes that wait to be read have cost it half of this. It lets 80 streams fill their windows with frames of 100 bytes,
/// and bounds what an upstream that sends nothing but single bytes can have the gateway hold.
const CONNECTION_WINDOW: u32 = 256 * 1024 * 1024;

/// How many streams that were cancelled are remembered, for frames that were on their way; each for a second at most, as is h2's
/// default.
const REMEMBERED_STREAMS: usize = 1024;

/// Silence on a connection with open streams after which it is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long the answer to that may take before the connection counts as dead.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

type Connection = http2::Connection<TokioIo<HeardSocket>, RequestBody, TokioExecutor>;

/// Where the connection future stands; empty once it has ended.
type Slot = Arc<Mutex<Option<Connection>>>;

/// A connection that serves many exchanges at once. It closes when it was dropped and its last stream has ended.
#[derive(Debug)]
pub(crate) struct H2 {
    sender: http2::SendRequest<RequestBody>,
    hearing: Arc<Hearing>,
    slot: Slot,
    usage: Mutex<Usage>,
}

#[derive(Debug)]
struct Usage {
    streams: usize,
    idle_since: Instant,
}

impl H2 {
    pub(crate) async fn open(socket: Socket) -> Result<Self, UpstreamError> {
        let socket = HeardSocket::new(socket);
        let hearing = socket.hearing();
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_header_list_size(MAX_HEAD)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_reset_streams(REMEMBERED_STREAMS)
            // h2 counts frames of cancelled streams that it has forgotten as the peer's mistakes, over all of the connection's life, and
            // ends it after a thousand. They are nobody's mistake (RFC 9113, section 5.1), and a busy connection is to live for days.
            .max_local_error_reset_streams(None)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| UpstreamError::with_source(UpstreamErrorKind::Connect, error))?;
        let usage = Mutex::new(Usage { streams: 0, idle_since: Instant::now() });
        Ok(Self { sender, hearing, slot: Arc::new(Mutex::new(Some(connection))), usage })
    }

    /// One stream, unless all that the peer allows are taken or the connection is closed.
    pub(crate) fn claim(self: &Arc<Self>) -> Option<H2Stream> {
        let limit = self.slot.lock().as_ref()?.current_max_send_streams().min(MAX_STREAMS);
        let mut usage = self.usage.lock();
        if usage.streams >= limit {
            return None;
        }
        usage.streams += 1;
        drop(usage);
        let sender = self.sender.clone();
        Some(H2Stream { sender, alarm: Alarm::new(), answer: None, connection: Arc::clone(self) })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Since when no stream is open; `None` while one is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let usage = self.usage.lock();
        (usage.streams == 0).then_some(usage.idle_since)
    }
}

/// One claimed stream, given back on drop.
#[derive(Debug)]
pub(crate) struct H2Stream {
    pub(crate) sender: http2::SendRequest<RequestBody>,
    pub(crate) alarm: Alarm,
    /// The body of the answer, once its head has come.
    pub(crate) answer: Option<Incoming>,
    connection: Arc<H2>,
}

impl H2Stream {
    pub(crate) fn hearing(&self) -> &Hearing {
        &self.connection.hearing
    }

    /// Waits for the next data of the answer's body. Trailers are nobody's business but the upstream's.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Bytes>>> {
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        loop {
            match ready!(Pin::new(&mut *answer).poll_frame(cx)).transpose()? {
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                None => return Poll::Ready(None),
            }
        }
    }

    /// Whether the whole answer was read.
    pub(crate) fn is_over(&self) -> bool {
        self.answer.as_ref().is_some_and(Body::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.answer.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        let mut usage = self.connection.usage.lock();
        usage.streams -= 1;
        usage.idle_since = Instant::now();
    }
}

/// The task of a connection. It first waits for the peer's settings, which say how many streams there are to share
/// (RFC 9113, section 3.4: they are the first thing a server sends), and then puts the connection into the pool.
pub(crate) async fn drive(connection: Arc<H2>, pool: Arc<Pool>, dialing: Option<Dialing>, patience: Duration) {
    let mut running = pin!(run(Arc::clone(&connection.slot)));
    let settled = timeout(patience, connection.hearing.digested());
    tokio::select! {
        biased;
        () = &mut running => {
            if let Some(dialing) = dialing {
                dialing.fail(UpstreamErrorKind::Reset);
            }
            return;
        }
        settled = settled => if settled.is_ok() {
            pool.share(Arc::clone(&connection));
        },
    }
    // Whoever waited for this connection looks into the pool now.
    drop(dialing);
    drop((connection, pool));
    running.await;
}

async fn run(slot: Slot) {
    let ended = poll_fn(|cx| {
        let mut slot = slot.lock();
        let polled = slot.as_mut().map_or(Poll::Ready(Ok(())), |connection| Pin::new(connection).poll(cx));
        if polled.is_ready() {
            *slot = None;
        }
        polled
    });
    if let Err(error) = ended.await {
        debug!(%error, "upstream connection ended");
    }
}
