//! The line between a gateway and its database, which can break in every way that lines break.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// It carries what it is given.
    Good,
    /// Connections end, and new ones end at once.
    Cut,
    /// Nothing arrives and nobody is told, as behind a firewall that has forgotten a connection.
    Silent,
}

/// A line on a free port of 127.0.0.1. Dropping it cuts it.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    quality: Arc<watch::Sender<Quality>>,
    task: JoinHandle<()>,
}

impl Line {
    /// A good line to this port of 127.0.0.1. Panics if there is no port for its own end.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let quality = Arc::new(watch::Sender::new(Quality::Good));
        let task = tokio::spawn(carry(listener, port, Arc::clone(&quality)));
        Self { address, quality, task }
    }

    /// The same address by this line, for a URL that ends in `@127.0.0.1:PORT/NAME`, and the line. Panics if it is another.
    pub async fn of_url(url: &str) -> (String, Self) {
        let (start, rest) = url.rsplit_once(':').expect("a port");
        let (port, name) = rest.split_once('/').expect("a name");
        let line = Self::to(port.parse().expect("a port")).await;
        (format!("{start}:{}/{name}", line.address.port()), line)
    }

    /// Makes it good or bad, from now on.
    pub fn set(&self, quality: Quality) {
        self.quality.send_replace(quality);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(listener: TcpListener, port: u16, quality: Arc<watch::Sender<Quality>>) {
    // Owned by this task, so that they end with it.
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(carry_one(near, port, quality.subscribe()));
    }
}

async fn carry_one(mut near: TcpStream, port: u16, mut quality: watch::Receiver<Quality>) {
    let mut far = None;
    loop {
        let present = *quality.borrow_and_update();
        match present {
            Quality::Cut => return,
            Quality::Silent => {
                // That the line was dropped ends this, too.
                drop(quality.changed().await);
                if far.is_some() {
                    return;
                }
            }
            Quality::Good => {
                if far.is_none() {
                    far = TcpStream::connect(("127.0.0.1", port)).await.ok();
                }
                let Some(far) = &mut far else { return };
                tokio::select! {
                    _ = copy_bidirectional(&mut near, far) => return,
                    _ = quality.changed() => {}
                }
            }
        }
    }
}
