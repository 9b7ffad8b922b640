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
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::connection::{ConnectionEnd, Door};
use crate::{BindError, ListenerConfig, tls};

/// Connections that the system completes while the loop is busy; the usual ceiling (`net.core.somaxconn`) is 4096.
const BACKLOG: u32 = 4096;

/// How long to wait when the process or the system is out of descriptors or memory: long enough not to spin, short
/// enough to be back soon after a connection closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What became of the connections that had a running call when shutdown was asked for.
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
    door: Arc<Door>,
}

impl Listener {
    /// Reads the TLS files, resolves the address and binds its first usable one.
    ///
    /// The socket accepts from now on; connections wait in its queue until [`serve`](Self::serve) is polled.
    pub async fn bind(config: &ListenerConfig) -> Result<Self, BindError> {
        let tls = config.tls.as_ref().map(tls::load_acceptor).transpose()?;
        let failed = |source| BindError::Bind { address: config.address.clone(), source };
        let socket = bind_first(&config.address).await?;
        let address = socket.local_addr().map_err(failed)?;
        let door = Arc::new(Door::new(tls, config.head, config.drain_timeout));
        Ok(Self { socket, address, door })
    }

    /// The address that was bound, with the port that was taken where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves every connection with a clone of `service` until `shutdown` resolves, then drains and returns.
    ///
    /// Bodies are best made of `Bytes`; data of any other type is copied once.
    ///
    /// Draining: no new connection is taken, idle ones are closed at once, a running call may finish for up to
    /// `drain_timeout` (its HTTP/1 answer says `connection: close`, HTTP/2 peers get GOAWAY), what is left is cut.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Drained
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let Self { socket, door, .. } = self;
        let drain = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let admit = |tasks: &mut JoinSet<_>, stream: TcpStream| {
            tasks.spawn(Arc::clone(&door).attend(stream, service.clone(), drain.child_token()));
        };
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(end) = tasks.join_next() => note_panic(&end),
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => admit(&mut tasks, stream),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        for stream in accept_waiting(socket) {
            admit(&mut tasks, stream);
        }
        drain.cancel();
        wait_out(tasks).await
    }
}

async fn bind_first(address: &str) -> Result<TcpListener, BindError> {
    let unresolved = |source| BindError::Resolve { address: address.to_owned(), source };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in tokio::net::lookup_host(address).await.map_err(unresolved)? {
        match bind_one(candidate) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(BindError::Bind { address: address.to_owned(), source: last })
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the TIME_WAIT of connections that the previous process had.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connections that were complete when the socket is about to close; dropping it would reset them, requests and all.
fn accept_waiting(socket: TcpListener) -> Vec<TcpStream> {
    // The system is asked, not the runtime: that one may not have heard of them yet.
    let Ok(socket) = socket.into_std() else { return Vec::new() };
    let next = || socket.accept().and_then(|(stream, _)| stream.set_nonblocking(true).map(|()| stream));
    std::iter::from_fn(|| next().and_then(TcpStream::from_std).ok()).collect()
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

async fn wait_out(mut tasks: JoinSet<ConnectionEnd>) -> Drained {
    let mut drained = Drained::default();
    while let Some(end) = tasks.join_next().await {
        note_panic(&end);
        match end {
            Ok(ConnectionEnd::CallsFinished) => drained.finished += 1,
            Ok(ConnectionEnd::CallsCut) => drained.cut += 1,
            Ok(ConnectionEnd::Closed) | Err(_) => {}
        }
    }
    drained
}

fn note_panic(end: &Result<ConnectionEnd, JoinError>) {
    if let Err(error) = end
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked; its calls were dropped, this is a bug");
    }
}
