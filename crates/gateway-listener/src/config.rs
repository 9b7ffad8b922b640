//! What a listener is told: plain values with the defaults of the gateway's configuration reference.

use std::path::PathBuf;
use std::time::Duration;

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// `host:port` or `address:port`; port 0 takes a free one. Of several addresses of a host the first that can be
    /// bound is used.
    pub address: String,
    /// Certificate and key; `None` listens in the clear. With them HTTP/2 is offered by ALPN.
    pub tls: Option<TlsFiles>,
    /// What one request's head may be, and how long a peer may keep the connection waiting.
    pub head: HeadLimits,
    /// Whether the address may be shared (`SO_REUSEPORT`): several processes of the same user, all of which ask for it,
    /// listen there at once and the kernel spreads connections over them. So a new process can begin to serve while the
    /// old one drains. Also a process that was started by mistake then takes its share in silence.
    ///
    /// Means nothing for a socket that was inherited.
    pub reuse_port: bool,
    /// How long running calls may go on once the socket was closed, which is when shutdown is asked for, or 0.3 s later
    /// with `reuse_port`. Then their connections are cut.
    pub drain_timeout: Duration,
    /// How long a connection without a call is kept after the socket was closed, or after its call ended if that is
    /// later: its next request may be on the way, and would be lost. It is served, and the answer says
    /// `connection: close`. HTTP/2 has its own way to say so (GOAWAY) and does not need the time. Within
    /// `drain_timeout`.
    ///
    /// Clients that pause longer find the connection closed, as after `keep_alive`. Zero closes at once.
    pub idle_grace: Duration,
}

impl ListenerConfig {
    /// A listener in the clear at `address`, not shared, with the default limits and 30 s to drain. Connections without
    /// a call are kept for 1 s of these: long enough for what a busy client has sent already, over any distance, and no
    /// longer than whoever stops an idle server will wait.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            tls: None,
            head: HeadLimits::default(),
            reuse_port: false,
            drain_timeout: Duration::from_secs(30),
            idle_grace: Duration::from_secs(1),
        }
    }
}

/// The PEM files of a TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its intermediates.
    pub cert: PathBuf,
    /// The private key of the first certificate: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Bounds on the head of a request, on the silence before it, and on a peer that does not read the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// From the first byte of a head to its last; also from the connection's start to its first byte, and for the TLS
    /// handshake. The connection is closed without an answer when it is over.
    pub header_timeout: Duration,
    /// How long a connection without a running call is kept for the next one.
    pub keep_alive: Duration,
    /// How long a peer may take nothing of what there is to write. Then the connection is cut, or the stream reset if it
    /// is HTTP/2 and only grants no window; either drops the answer's body, and with it the work behind it.
    ///
    /// Any progress begins the time anew, however long the whole answer takes. Progress is what can be seen of it from
    /// here: on a connection about 32 KiB (on Linux; elsewhere a part of the send buffer, which can be megabytes) or what
    /// the peer's system gathers before it tells of free space, on an HTTP/2 stream 16 KiB. So a peer that takes less
    /// than about 1 KiB/s over the default time may not be told from one that takes nothing.
    ///
    /// Not bounded by this: the last piece of an HTTP/2 answer, of 16 KiB at most, which waits in memory for window when
    /// its call is over already. It goes with the connection, `keep_alive` after the last call on it.
    pub write_timeout: Duration,
    /// Header lines in one head; one more is answered 431.
    pub max_headers: usize,
    /// Bytes in one head, request line included; as many or more are answered 431 (414 if it is a complete path that
    /// is too long). At least 8 KiB; it is also the size of a connection's read buffer.
    pub max_head: usize,
}

impl Default for HeadLimits {
    /// 10 s for a head, 75 s of idleness (nginx's `keepalive_timeout`), 60 s without progress of an answer (nginx's
    /// `send_timeout`), 100 headers, 64 KiB.
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            write_timeout: Duration::from_mins(1),
            max_headers: 100,
            max_head: 64 * 1024,
        }
    }
}
