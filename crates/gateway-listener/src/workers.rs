//! Which runtime serves a connection.
//!
//! One runtime that moves tasks between its threads wakes them across cores, several times for a call. With a runtime for each
//! thread all of a call stays on one. Sockets that share a port (`SO_REUSEPORT`) would let the kernel spread connections over
//! them by a hash, which leaves threads idle where connections are few and live long, as those of callers' pools do; and a
//! socket that the process inherited cannot be multiplied. So there is one socket, and whoever accepts counts.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::connection::ConnectionEnd;

/// The runtimes of a listener's connections.
#[derive(Debug, Default)]
pub(crate) struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    pub(crate) fn new(runtimes: impl IntoIterator<Item = Handle>) -> Self {
        Self(runtimes.into_iter().map(|runtime| Worker { runtime, connections: Arc::default() }).collect())
    }

    /// Has a connection attended to by the worker that has the fewest; without workers, in the present runtime.
    pub(crate) fn take<F>(
        &self,
        stream: TcpStream,
        tasks: &mut JoinSet<ConnectionEnd>,
        attend: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) where
        F: Future<Output = ConnectionEnd> + Send + 'static,
    {
        let Some(worker) = self.0.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed)) else {
            tasks.spawn(attend(stream));
            return;
        };
        let seat = Seat::new(&worker.connections);
        // The socket is heard by the runtime that knows it. Both steps fail only where that is out of memory or descriptors.
        let Ok(stream) = stream.into_std() else { return };
        tasks.spawn_on(
            async move {
                let _seat = seat;
                match TcpStream::from_std(stream) {
                    Ok(stream) => attend(stream).await,
                    Err(_) => ConnectionEnd::Closed,
                }
            },
            &worker.runtime,
        );
    }
}

/// A connection, counted for as long as it lasts.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
