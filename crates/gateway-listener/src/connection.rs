//! One connection from accept to close: TLS, the guard, hyper, and the supervisor's orders.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioTimer;
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::activity::{Activity, Phase};
use crate::detect::{HttpConnection, Protocols};
use crate::drain::{Drain, DrainLimits};
use crate::guard::RequestGuard;
use crate::meter::MeteredSocket;
use crate::multiplexed::StreamExecutor;
use crate::noted::{BoxError, NotedService};
use crate::supervisor::{Order, Supervisor};
use crate::{Certificates, HeadLimits};

/// Calls that one HTTP/2 connection may run at once; more wait at the client (RFC 9113 section 5.1.2 asks for 100 or
/// more).
const MAX_STREAMS: u32 = 256;

/// How much an HTTP/2 call may send ahead of who reads it, in bytes, and how much all calls of a connection together. Those that wait
/// for their turn have bodies that nobody reads yet, and must leave room for that of the call that they wait for.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;

/// How many frames of a connection may come for calls that are over. h2 counts them over all of its life as the client's mistakes, but
/// a body that was on its way when its call was refused is none (RFC 9113, section 5.1). Bounded all the same, because
/// each is answered; the calls themselves end at once, so that resets by mistake gain a client nothing (CVE-2025-8671).
const MAX_LATE_FRAMES: usize = 16 * 1024;

/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it has to answer. Well below the
/// idle limits of common load balancers (60 s and more).
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// hyper keeps this many header slots on the stack; any explicit number moves them to the heap, for every request.
const HYPER_DEFAULT_MAX_HEADERS: usize = 100;

/// hyper panics on a smaller buffer.
const HYPER_LEAST_BUFFER: usize = 8192;

/// Bytes that wait in the system to be sent, beside those on their way (`TCP_NOTSENT_LOWAT` in tcp(7)). The socket takes
/// more when half of them are gone, so this is how finely the progress of a slow reader is seen; without it the system
/// gathers up to 4 MiB and then says nothing until a third of them is gone. It does not limit the throughput.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 64 * 1024;

/// How long streams may take to end behind their connection, which they do when they are polled next.
const LAST_STREAMS: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// While draining; calls ran when that began, and ended by themselves.
    CallsFinished,
    /// While draining, in the middle of a call.
    CallsCut,
    /// In any other way.
    Closed,
}

/// What all connections of a listener share.
pub(crate) struct Door {
    tls: Option<Certificates>,
    limits: HeadLimits,
    drain_limits: DrainLimits,
    protocols: Protocols,
    /// The HTTP/2 streams of all connections.
    streams: TaskTracker,
}

impl Door {
    pub(crate) fn new(tls: Option<Certificates>, limits: HeadLimits, drain_limits: DrainLimits) -> Self {
        let streams = TaskTracker::new();
        Self { tls, limits, drain_limits, protocols: protocols(limits, streams.clone()), streams }
    }

    /// Waits for what is left of connections that are gone: an HTTP/2 stream that was cut drops its call a moment later. One that
    /// does not hear of it is not waited for.
    pub(crate) async fn clear(&self) {
        self.streams.close();
        let _ = timeout(LAST_STREAMS, self.streams.wait()).await;
    }

    pub(crate) fn certificates(&self) -> Option<&Certificates> {
        self.tls.as_ref()
    }

    /// Serves one connection to its end.
    pub(crate) async fn attend<S, B>(self: Arc<Self>, stream: TcpStream, service: S, drain: Drain) -> ConnectionEnd
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
            + Send
            + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        tune(&stream);
        match &self.tls {
            None => {
                let (stream, activity) = metered(stream);
                self.drive(stream, activity, service, drain).await
            }
            // Boxed: a handshake is large, and every connection would have room for it.
            Some(tls) => Box::pin(self.attend_secured(tls, stream, service, drain)).await,
        }
    }

    async fn attend_secured<S, B>(
        &self,
        tls: &Certificates,
        stream: TcpStream,
        service: S,
        drain: Drain,
    ) -> ConnectionEnd
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
            + Send
            + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let (stream, activity) = metered(stream);
        let handshake = timeout(self.limits.header_timeout, tls.acceptor().accept(stream));
        let secured = tokio::select! {
            biased;
            secured = handshake => secured,
            () = drain.leaves_no_time(self.drain_limits) => return ConnectionEnd::Closed,
        };
        match secured {
            Ok(Ok(stream)) => {
                // The handshake had its own time.
                activity.enter(Phase::Fresh);
                self.drive(stream, activity, service, drain).await
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                ConnectionEnd::Closed
            }
            Err(_) => {
                tracing::debug!("TLS handshake was not finished in time");
                ConnectionEnd::Closed
            }
        }
    }

    async fn drive<IO, S, B>(&self, io: IO, activity: Arc<Activity>, service: S, drain: Drain) -> ConnectionEnd
    where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let mut supervisor = Supervisor::new(Arc::clone(&activity), &self.limits, drain, &self.drain_limits);
        let io = RequestGuard::new(io, Arc::clone(&activity), max_head(self.limits));
        let mut connection = pin!(HttpConnection::new(io, NotedService::new(service, activity)));
        let was_cut = poll_fn(|cx| {
            supervisor.poll_drain(cx);
            loop {
                if let Poll::Ready(end) = connection.as_mut().poll(&self.protocols, cx) {
                    note_end(end);
                    return Poll::Ready(false);
                }
                match supervisor.poll_order(cx) {
                    Order::Keep => return Poll::Pending,
                    Order::Cut => return Poll::Ready(true),
                    Order::Retire => connection.as_mut().graceful_shutdown(),
                }
            }
        })
        .await;
        supervisor.end(was_cut)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("tls", &self.tls.is_some()).field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn protocols(limits: HeadLimits, streams: TaskTracker) -> Protocols {
    let mut http1 = http1::Builder::new();
    // A head has to fit into the read buffer, which also bounds what a connection reads ahead of a body.
    http1.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(max_head(limits));
    if limits.max_headers != HYPER_DEFAULT_MAX_HEADERS {
        http1.max_headers(limits.max_headers);
    }
    let mut http2 = http2::Builder::new(StreamExecutor::new(limits.write_timeout, streams));
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_local_error_reset_streams(MAX_LATE_FRAMES)
        .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    Protocols { http1, http2 }
}

/// The largest head, in bytes.
fn max_head(limits: HeadLimits) -> usize {
    limits.max_head.max(HYPER_LEAST_BUFFER)
}

/// A socket with the record of what its connection is doing.
fn metered(stream: TcpStream) -> (MeteredSocket<TcpStream>, Arc<Activity>) {
    let activity = Arc::new(Activity::new());
    (MeteredSocket::new(stream, Arc::clone(&activity)), activity)
}

/// Small writes leave at once, large ones in small steps. Either only fails on a dead socket, which the first read
/// reports.
fn tune(stream: &TcpStream) {
    drop(stream.set_nodelay(true));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    drop(SockRef::from(stream).set_tcp_notsent_lowat(UNSENT));
}

fn note_end(end: hyper::Result<()>) {
    if let Err(error) = end {
        tracing::debug!(%error, "connection closed early");
    }
}
