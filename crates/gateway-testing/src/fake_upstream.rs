//! An upstream that does exactly what its script says, byte by byte.
//!
//! It works on a raw socket rather than through an HTTP library, because most of what has to be tested is what no
//! library would send: halves of heads, wrong lengths, resets, silence. What it received is kept whole, and everything
//! that happens can be awaited, so that no test has to sleep.

mod connection;
mod received;
mod script;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

pub use self::received::ReceivedRequest;
pub use self::script::{Gate, Script};

/// How long an awaited event may take; far more than anything on one machine does.
const PATIENCE: Duration = Duration::from_secs(10);

/// A scripted HTTP/1.1 server on a free port of 127.0.0.1. Dropping it closes everything.
///
/// Each request takes the next script. One that finds none left is answered as [`otherwise`](FakeUpstream::otherwise)
/// says, or else its connection is closed without an answer.
///
/// ```
/// use gateway_testing::{FakeUpstream, Script};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let upstream = FakeUpstream::start([Script::json(200, "{}"), Script::new().reset()]).await?;
/// println!("{}", upstream.address());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FakeUpstream {
    address: SocketAddr,
    log: watch::Sender<Log>,
    task: JoinHandle<()>,
}

/// Everything that happened and what is still to come.
#[derive(Debug, Default)]
struct Log {
    scripts: VecDeque<Script>,
    otherwise: Option<Responder>,
    requests: Vec<ReceivedRequest>,
    connections: Vec<ConnectionLog>,
}

#[derive(Debug, Default)]
struct ConnectionLog {
    written: u64,
    is_closed: bool,
    /// From a request's head to the end of its script.
    is_busy: bool,
}

/// What to do with a request, decided when it is there.
#[derive(Clone)]
struct Responder(Arc<dyn Fn(&ReceivedRequest) -> Script + Send + Sync>);

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

impl FakeUpstream {
    /// Listens, and answers requests by `scripts` in the order in which they arrive.
    pub async fn start(scripts: impl IntoIterator<Item = Script>) -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        let (log, _) = watch::channel(Log { scripts: scripts.into_iter().collect(), ..Log::default() });
        let task = tokio::spawn(accept(socket, log.clone()));
        Ok(Self { address, log, task })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API base to configure a provider with, such as `http://127.0.0.1:4010/v1`.
    pub fn api_base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds a script behind those that are left.
    pub fn push(&self, script: Script) {
        self.log.send_modify(|log| log.scripts.push_back(script));
    }

    /// Decides from now on what to do with a request that finds no script left. It is read whole before that.
    pub fn otherwise(&self, respond: impl Fn(&ReceivedRequest) -> Script + Send + Sync + 'static) {
        self.log.send_modify(|log| log.otherwise = Some(Responder(Arc::new(respond))));
    }

    /// The requests received so far, in order.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.log.borrow().requests.clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.log.borrow().connections.len()
    }

    /// How many bytes the system took over for a connection so far, by its number from 0.
    pub fn bytes_written(&self, connection: usize) -> u64 {
        self.log.borrow().connections.get(connection).map_or(0, |connection| connection.written)
    }

    /// Waits for a request, by its number from 0.
    ///
    /// # Panics
    ///
    /// If it does not arrive within ten seconds.
    pub async fn request(&self, number: usize) -> ReceivedRequest {
        self.reach("a request", |log| log.requests.get(number).cloned()).await
    }

    /// Waits until so many connections were accepted.
    ///
    /// # Panics
    ///
    /// If they are not within ten seconds.
    pub async fn accepted(&self, count: usize) {
        self.reach("connections", |log| (log.connections.len() >= count).then_some(())).await;
    }

    /// Waits until the peer closed a connection, or its script did, by its number from 0.
    ///
    /// # Panics
    ///
    /// If neither does within ten seconds.
    pub async fn connection_closed(&self, connection: usize) {
        let is_closed = |log: &Log| log.connections.get(connection).filter(|connection| connection.is_closed).map(drop);
        self.reach("the close of a connection", is_closed).await;
    }

    /// Waits until nothing is under way: every connection is closed, or was answered and could take another request.
    ///
    /// # Panics
    ///
    /// If that is not so within ten seconds.
    pub async fn at_rest(&self) {
        let is_at_rest =
            |log: &Log| log.connections.iter().all(|connection| connection.is_closed || !connection.is_busy);
        self.reach("rest", |log| is_at_rest(log).then_some(())).await;
    }

    async fn reach<T>(&self, event: &str, look: impl Fn(&Log) -> Option<T>) -> T {
        let mut log = self.log.subscribe();
        let wait = timeout(PATIENCE, log.wait_for(|log| look(log).is_some()));
        match wait.await {
            Ok(Ok(log)) => look(&log).unwrap_or_else(|| panic!("{event} was there and is gone")),
            _ => panic!("waited {PATIENCE:?} for {event}; received so far: {:?}", self.requests()),
        }
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(socket: TcpListener, log: watch::Sender<Log>) {
    // Owned by this task, so that the connections end with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = socket.accept().await {
        // What a script writes leaves at once. It only fails on a socket that is gone already.
        drop(stream.set_nodelay(true));
        let mut number = 0;
        log.send_modify(|log| {
            number = log.connections.len();
            log.connections.push(ConnectionLog::default());
        });
        connections.spawn(connection::serve(stream, number, log.clone()));
    }
}
