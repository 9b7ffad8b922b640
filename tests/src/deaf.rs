//! Places where nobody listens.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// An address that refuses connections. It is held, so that no other test's listener gets it meanwhile.
#[derive(Debug)]
pub struct DeafAddress {
    address: SocketAddr,
    /// Bound, and never made to listen.
    _socket: TcpSocket,
}

impl DeafAddress {
    /// Takes a free port. Panics if there is none.
    pub fn hold() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        Self { address: socket.local_addr().expect("a bound socket"), _socket: socket }
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API base to configure a provider with.
    pub fn api_base(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}
