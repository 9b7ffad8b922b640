//! A network between a store and its database.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes everything on, until it is told to swallow it. Connections stay open all the while.
pub(crate) struct Proxy {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_open = watch::Sender::new(true);
        let gate = is_open.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(target).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(from_client, to_server, gate.clone()));
                tokio::spawn(pass(from_server, to_client, gate.clone()));
            }
        });
        Self { address, is_open }
    }

    /// The URL of a database behind it.
    pub(crate) fn url(&self, url: &str) -> String {
        let (user, rest) = url.split_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{user}@{}/{database}", self.address)
    }

    pub(crate) fn swallow(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn pass_on(&self) {
        self.is_open.send_replace(true);
    }
}

/// What was swallowed is lost for good, so a connection that it was lost from never recovers.
async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    gate: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    let mut has_lost = false;
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        has_lost |= !*gate.borrow();
        if !has_lost && to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
