//! From an origin to a connected socket: name lookup, TCP to every address in turn, TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::socket::Socket;
use crate::{BuildError, Origin, UpstreamError, UpstreamErrorKind};

/// How long one address is tried alone before the next joins in (RFC 8305, section 5, "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);

/// Silence on a connection after which the kernel asks whether the peer is still there. Below the 350 s after which
/// AWS network load balancers forget a flow, and the 4 min of Azure's.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
/// Between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Opens connections to one origin.
#[derive(Debug)]
pub(crate) struct Connector {
    origin: Origin,
    tls: Option<Tls>,
}

struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A connected socket, and what the peer chose to speak on it.
pub(crate) struct Connected {
    pub(crate) socket: Socket,
    pub(crate) speaks_h2: bool,
}

impl Connector {
    /// Opens connections to `origin`, with these settings for TLS where it is encrypted.
    pub(crate) fn new(origin: Origin, settings: Arc<ClientConfig>) -> Result<Self, BuildError> {
        let tls = if origin.is_https() {
            let name = ServerName::try_from(origin.host().to_owned()).map_err(|_| BuildError::Host)?;
            Some(Tls { connector: TlsConnector::from(settings), name })
        } else {
            None
        };
        Ok(Self { origin, tls })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// One new connection. The caller bounds the time.
    pub(crate) async fn connect(&self) -> Result<Connected, UpstreamError> {
        let addresses: Vec<SocketAddr> = lookup_host((self.origin.host(), self.origin.port()))
            .await
            .map_err(|error| UpstreamError::with_source(UpstreamErrorKind::Resolve, error))?
            .collect();
        if addresses.is_empty() {
            return Err(UpstreamError::new(UpstreamErrorKind::Resolve));
        }
        let tcp = connect_first(alternate_families(&addresses))
            .await
            .and_then(|tcp| prepare(&tcp).map(|()| tcp))
            .map_err(|error| UpstreamError::with_source(UpstreamErrorKind::Connect, error))?;
        let Some(tls) = &self.tls else {
            return Ok(Connected { socket: Socket::Plain(tcp), speaks_h2: false });
        };
        let stream = tls
            .connector
            .connect(tls.name.clone(), tcp)
            .await
            .map_err(|error| UpstreamError::with_source(UpstreamErrorKind::Tls, error))?;
        let speaks_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connected { socket: Socket::Tls(Box::new(stream)), speaks_h2 })
    }
}

fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

/// The addresses with the families taking turns, the resolver's first choice first (RFC 8305, section 4).
fn alternate_families(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == preferred);
    first.reverse();
    second.reverse();
    let mut alternating = Vec::with_capacity(addresses.len());
    while alternating.len() < addresses.len() {
        alternating.extend(first.pop());
        alternating.extend(second.pop());
    }
    alternating
}

/// The first connection that succeeds. An address that fails hands over at once, a silent one after [`HEAD_START`].
async fn connect_first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = None;
    loop {
        attempts.extend(waiting.next().map(TcpStream::connect));
        let finished = if waiting.len() > 0 {
            match timeout(HEAD_START, attempts.next()).await {
                Ok(finished) => finished,
                Err(_elapsed) => continue,
            }
        } else {
            attempts.next().await
        };
        match finished {
            Some(Ok(stream)) => return Ok(stream),
            // The preferred address failed first; its reason is the one to tell.
            Some(Err(error)) => _ = failure.get_or_insert(error),
            None => return Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        for (given, expected) in [
            (vec!["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"], vec!["[::1]:1", "1.0.0.1:1", "[::2]:1", "[::3]:1"]),
            (vec!["1.0.0.1:1", "[::1]:1", "[::2]:1"], vec!["1.0.0.1:1", "[::1]:1", "[::2]:1"]),
            (vec!["1.0.0.1:1"], vec!["1.0.0.1:1"]),
            (vec![], vec![]),
        ] {
            assert_eq!(alternate_families(&parse(&given)), parse(&expected));
        }
    }

    #[tokio::test]
    async fn a_refusing_address_hands_over_to_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        // Bound, so that nobody else gets the port, and not listening.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let closed = silent.local_addr().unwrap();
        assert_eq!(connect_first(vec![closed, open]).await.unwrap().peer_addr().unwrap(), open);
        let refused = connect_first(vec![closed, closed]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(connect_first(Vec::new()).await.is_err());
    }
}
