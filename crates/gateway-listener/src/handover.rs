//! Leaving an address to another process that listens there, without losing a connection to either.
//!
//! Linux decides at a connection's first packet, the SYN, which of the sockets that share an address (`SO_REUSEPORT`) it
//! belongs to, and does not think again: when that socket is closed, handshakes that are under way and connections that
//! wait to be accepted are reset. So a socket first stops to be chosen and is closed only when nothing is under way.
//! There is no call for the first part; a socket filter does it. SYNs that come to this socket are dropped, the rest of
//! each handshake is not. The client's system repeats its SYN after a second (RFC 6298 section 2.1), finds our socket
//! closed, and gets to the other one.
//!
//! Where `net.ipv4.tcp_migrate_req` is 1 (ip-sysctl of the kernel's documentation, since Linux 5.14) the kernel itself
//! gives all that is under way to another socket of the address, and nobody has to wait.
//!
//! Connections that exist know nothing of all this until it is over: a client that is told to go connects anew at once.
//!
//! Never for a socket that others hold, too: the filter belongs to the socket, not to the descriptor.

#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::time::Duration;

use tokio::net::TcpListener;

/// How long handshakes that are under way have to end: the longest round trip that is reckoned with. Well below the
/// second after which a SYN is repeated, so that the first repetition finds the socket closed.
pub(crate) const HANDOVER: Duration = Duration::from_millis(300);

/// Makes the socket take no new connection while it still completes those that have begun.
///
/// False where it can be closed at once, because the kernel takes care of those, or because there is nothing better.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn turn_away(socket: &TcpListener) -> bool {
    if std::fs::read_to_string(MIGRATION).is_ok_and(|value| value.trim() == "1") {
        return false;
    }
    let attached = socket2::SockRef::from(socket).attach_filter(&drop_syn());
    if let Err(error) = &attached {
        tracing::warn!(%error, "cannot filter the listening socket; connections that are being made may be reset");
    }
    attached.is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn turn_away(_: &TcpListener) -> bool {
    false
}

/// For IPv4 and IPv6, of our network namespace; there is no call that tells.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MIGRATION: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

/// Drops the packets that begin a connection: SYN without ACK. A TCP socket's filter sees the TCP header first, over
/// IPv4 and IPv6 alike; its flags are byte 13 (RFC 9293 section 3.1). The codes are those of classic BPF,
/// `linux/bpf_common.h`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn drop_syn() -> [socket2::SockFilter; 5] {
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    [
        socket2::SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        socket2::SockFilter::new(AND, 0, 0, SYN | ACK),
        socket2::SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        // So many bytes of the packet are kept.
        socket2::SockFilter::new(RETURN, 0, 0, 0),
        socket2::SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}
