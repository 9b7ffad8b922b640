//! The accept loop. One task per connection, none per call; the loop itself never waits for a connection.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::connection::{ConnectionEnd, Door};
use crate::drain::{Drain, DrainLimits};
use crate::handover::{HANDOVER, turn_away};
use crate::inherited::is_listening;
use crate::workers::Workers;
use crate::{BindError, Certificates, InheritedSocket, ListenerConfig};

/// Connections that the system completes while the loop is busy; the usual ceiling (`net.core.somaxconn`) is 4096.
const BACKLOG: u32 = 4096;

/// How long to wait when the process or the system is out of descriptors or memory: long enough not to spin, short
/// enough to be back soon after a connection closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What became of the connections that had a running call when draining began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drained {
    /// Connections whose calls ended by themselves.
    pub finished: usize,
    /// Connections closed in the middle of a call because `drain_timeout` was over.
    pub cut: usize,
}

/// A bound socket, ready to serve.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    is_port_shared: bool,
    door: Arc<Door>,
    workers: Workers,
    /// That no connection may go on, whatever it does.
    cut: CancellationToken,
}

impl Listener {
    /// Reads the TLS files, resolves the address and binds its first usable one.
    ///
    /// The socket accepts from now on; connections wait in its queue until [`serve`](Self::serve) is polled.
    pub async fn bind(config: &ListenerConfig) -> Result<Self, BindError> {
        let door = open_door(config)?;
        let failed = |source| BindError::Bind { address: config.address.clone(), source };
        let socket = bind_first(config).await?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self::new(socket, address, door, config.reuse_port))
    }

    /// Reads the TLS files and takes a socket that listens already, such as one that was [inherited](crate::inherited()).
    /// The address in `config` means nothing then, nor does `reuse_port`.
    ///
    /// Others may hold the socket as well. Nothing is done to it but to accept from it without blocking, and when we
    /// stop it goes on to take connections for whoever holds it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn from_socket(socket: InheritedSocket, config: &ListenerConfig) -> Result<Self, BindError> {
        let unusable = |source| BindError::Unusable { source };
        if !is_listening(&socket).map_err(unusable)? {
            return Err(unusable(io::ErrorKind::InvalidInput.into()));
        }
        let door = open_door(config)?;
        socket.set_nonblocking(true).map_err(unusable)?;
        let socket = TcpListener::from_std(socket).map_err(unusable)?;
        let address = socket.local_addr().map_err(unusable)?;
        Ok(Self::new(socket, address, door, false))
    }

    fn new(socket: TcpListener, address: SocketAddr, door: Arc<Door>, is_port_shared: bool) -> Self {
        Self { socket, address, is_port_shared, door, workers: Workers::default(), cut: CancellationToken::new() }
    }

    /// The address that was bound, with the port that was taken where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate, and the way to change it while [`serve`](Self::serve) runs; `None` without TLS.
    pub fn certificates(&self) -> Option<Certificates> {
        self.door.certificates().cloned()
    }

    /// Cuts whatever is left once this is cancelled and draining has begun, rather than when `drain_timeout` is over.
    #[must_use]
    pub fn cut_on(self, cut: CancellationToken) -> Self {
        Self { cut, ..self }
    }

    /// Has connections served in these runtimes, a new one in that which has the fewest, rather than where
    /// [`serve`](Self::serve) is polled. They have to outlive that, with `enable_all`.
    #[must_use]
    pub fn in_runtimes(self, runtimes: impl IntoIterator<Item = Handle>) -> Self {
        Self { workers: Workers::new(runtimes), ..self }
    }

    /// Serves every connection with a clone of `service` until `shutdown` resolves, then drains and returns.
    ///
    /// Bodies are best made of `Bytes`; data of any other type is copied once.
    ///
    /// The socket is closed, and then the connections are drained: a call may go on for up to `drain_timeout`; what is
    /// left then is cut, and its call dropped when this returns. A connection without a call is kept for `idle_grace`,
    /// because its next request may be on the way. HTTP/1 answers say `connection: close`, HTTP/2 peers get GOAWAY.
    ///
    /// Connections that wait to be accepted when the socket is closed are served; those that are just being made are
    /// reset. With `reuse_port` on Linux the latter are completed and served as well, so that another process can have
    /// the address without one being lost: for 0.3 s the socket takes none that begins, and all else goes on as before.
    /// A client that begins to connect in this time and would have got here is heard at its system's second try, 1 s
    /// after the first; it is refused then if nobody else listens. Where the kernel itself gives connections to the
    /// other process (`net.ipv4.tcp_migrate_req`), no time is needed and the socket is closed at once.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Drained
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
            + Clone
            + Send
            + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        let Self { socket, door, is_port_shared, workers, cut, .. } = self;
        let drain = Drain::new();
        let mut connections = Connections::default();
        let admit = |tasks: &mut JoinSet<_>, stream: TcpStream| {
            let (door, service, drain) = (Arc::clone(&door), service.clone(), drain.for_connection());
            workers.take(stream, tasks, |stream| door.attend(stream, service, drain));
        };
        connections.accept_until(shutdown, &socket, &admit).await;
        // First the address, then the connections: a client that is told to go would come back here.
        if is_port_shared && turn_away(&socket) {
            connections.accept_until(sleep(HANDOVER), &socket, &admit).await;
        }
        for stream in accept_waiting(socket) {
            admit(&mut connections.tasks, stream);
        }
        drain.begin();
        let drained = connections.wait_out(&cut).await;
        door.clear().await;
        drained
    }
}

fn open_door(config: &ListenerConfig) -> Result<Arc<Door>, BindError> {
    let tls = config.tls.as_ref().map(Certificates::load).transpose()?;
    let drain_limits = DrainLimits { timeout: config.drain_timeout, idle_grace: config.idle_grace };
    Ok(Arc::new(Door::new(tls, config.head, drain_limits)))
}

async fn bind_first(config: &ListenerConfig) -> Result<TcpListener, BindError> {
    let address = &config.address;
    let unresolved = |source| BindError::Resolve { address: address.clone(), source };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in tokio::net::lookup_host(address).await.map_err(unresolved)? {
        match bind_one(candidate, config.reuse_port) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(BindError::Bind { address: address.clone(), source: last })
}

fn bind_one(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the TIME_WAIT of connections that the previous process had.
    socket.set_reuseaddr(true)?;
    if reuse_port {
        socket.set_reuseport(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connections that were complete when the socket is about to close; dropping it would reset them, requests and all.
fn accept_waiting(socket: TcpListener) -> Vec<TcpStream> {
    // The system is asked, not the runtime: that one may not have heard of them yet.
    let Ok(socket) = socket.into_std() else { return Vec::new() };
    let next = || socket.accept().and_then(|(stream, _)| stream.set_nonblocking(true).map(|()| stream));
    // No more than can wait at once: a socket that others hold takes new ones all the time.
    let waiting = std::iter::from_fn(|| next().and_then(TcpStream::from_std).ok());
    waiting.take(BACKLOG as usize).collect()
}

/// The connections that are being served.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<ConnectionEnd>,
    drained: Drained,
}

impl Connections {
    /// Has every connection that comes served, until told otherwise.
    async fn accept_until(
        &mut self,
        told: impl Future<Output = ()>,
        socket: &TcpListener,
        admit: &impl Fn(&mut JoinSet<ConnectionEnd>, TcpStream),
    ) {
        let mut told = pin!(told);
        loop {
            tokio::select! {
                biased;
                () = &mut told => return,
                Some(end) = self.tasks.join_next() => self.drained.note(&end),
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => admit(&mut self.tasks, stream),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
    }

    async fn wait_out(mut self, cut: &CancellationToken) -> Drained {
        loop {
            tokio::select! {
                biased;
                () = cut.cancelled() => break,
                end = self.tasks.join_next() => match end {
                    Some(end) => self.drained.note(&end),
                    None => return self.drained,
                },
            }
        }
        self.tasks.shutdown().await;
        self.drained
    }
}

impl Drained {
    fn note(&mut self, end: &Result<ConnectionEnd, JoinError>) {
        match end {
            Ok(ConnectionEnd::CallsFinished) => self.finished += 1,
            Ok(ConnectionEnd::CallsCut) => self.cut += 1,
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "a connection's task panicked; its calls were dropped, this is a bug");
            }
            Ok(ConnectionEnd::Closed) | Err(_) => {}
        }
    }
}

/// Some errors belong to the connection that went away before it was taken; the others need time to pass.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    tracing::error!(%error, "cannot accept connections; raise the limit on open files if this repeats");
    sleep(ACCEPT_PAUSE).await;
}
