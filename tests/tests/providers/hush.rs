//! A line to PostgreSQL on which whoever listens is told nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What a connection says that wants to be notified.
const LISTEN: &[u8] = b"LISTEN";

/// What becomes of what is said to connections that listen.
#[derive(Clone, Default)]
struct Hushed {
    is_hushed: Arc<AtomicBool>,
    /// How many bytes were swallowed.
    swallowed: Arc<AtomicUsize>,
}

/// A line that carries everything, and from some moment on no byte to connections that listen.
pub(crate) struct Hush {
    hushed: Hushed,
    task: JoinHandle<()>,
}

impl Hush {
    /// The same database by this line, and the line. The URL has to end in `@127.0.0.1:PORT/NAME`.
    pub(crate) async fn of_url(url: &str) -> (String, Self) {
        let (start, rest) = url.rsplit_once(':').unwrap();
        let (port, name) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("{start}:{}/{name}", listener.local_addr().unwrap().port());
        let hushed = Hushed::default();
        let task = tokio::spawn(carry(listener, port.parse().unwrap(), hushed.clone()));
        (url, Self { hushed, task })
    }

    /// Swallows what is said to connections that listen, or does so no longer.
    pub(crate) fn set(&self, is_hushed: bool) {
        self.hushed.is_hushed.store(is_hushed, Ordering::Relaxed);
    }

    /// How many bytes were swallowed so far.
    pub(crate) fn swallowed(&self) -> usize {
        self.hushed.swallowed.load(Ordering::Relaxed)
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(listener: TcpListener, port: u16, hushed: Hushed) {
    // Owned by this task, so that they end with it.
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
        let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
        let listens = Arc::new(AtomicBool::new(false));
        connections.spawn(ask(from_near, to_far, Arc::clone(&listens)));
        connections.spawn(tell(from_far, to_near, listens, hushed.clone()));
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, listens: Arc<AtomicBool>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if bytes[..count].windows(LISTEN.len()).any(|window| window == LISTEN) {
            listens.store(true, Ordering::Relaxed);
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn tell(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, listens: Arc<AtomicBool>, hushed: Hushed) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if listens.load(Ordering::Relaxed) && hushed.is_hushed.load(Ordering::Relaxed) {
            hushed.swallowed.fetch_add(count, Ordering::Relaxed);
        } else if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
