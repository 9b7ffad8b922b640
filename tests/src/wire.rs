//! A caller that writes bytes instead of requests, for what no HTTP library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take; far more than anything on one machine does.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the gateway.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// Received and not yet taken.
    bytes: Vec<u8>,
}

/// An answer as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its head, in lower case.
    pub head: String,
    /// Its body, by the head's `content-length`.
    pub body: String,
}

impl Reply {
    /// The first value of a header, in lower case; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(candidate, _)| *candidate == name).map_or("", |(_, value)| value)
    }
}

impl Wire {
    /// Opens a connection.
    pub async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.expect("a listener"), bytes: Vec::new() }
    }

    /// Writes bytes as they are. The peer may have closed already, which shows when reading.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        drop(timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.expect("the peer does not read"));
    }

    /// Reads the next answer.
    pub async fn reply(&mut self) -> Reply {
        let end = self.read_until(b"\r\n\r\n").await;
        let head = String::from_utf8_lossy(&self.bytes[..end]).to_lowercase();
        self.bytes.drain(..end);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let mut reply = Reply { status, head, body: String::new() };
        let length = reply.header("content-length").trim().parse().unwrap_or(0);
        while self.bytes.len() < length {
            assert!(self.read().await > 0, "the answer broke off: {reply:?} {:?}", self.bytes);
        }
        reply.body = String::from_utf8_lossy(&self.bytes[..length]).into_owned();
        self.bytes.drain(..length);
        reply
    }

    /// Reads until the marker has come, and says where it ends in what is buffered.
    pub async fn read_until(&mut self, marker: &[u8]) -> usize {
        loop {
            if let Some(at) = self.bytes.windows(marker.len()).position(|window| window == marker) {
                return at + marker.len();
            }
            assert!(self.read().await > 0, "closed before {marker:?}: {:?}", String::from_utf8_lossy(&self.bytes));
        }
    }

    /// Reads to the end of the connection.
    pub async fn rest(&mut self) -> String {
        while self.read().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned()
    }

    /// A connection that is reset counts as ended.
    async fn read(&mut self) -> usize {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.bytes)).await;
        read.unwrap_or_else(|_| panic!("silence behind {:?}", String::from_utf8_lossy(&self.bytes))).unwrap_or(0)
    }
}

/// Sends bytes over a connection of their own and reads one answer.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Reply {
    let mut wire = Wire::open(address).await;
    wire.write(bytes).await;
    wire.reply().await
}

/// A request whose head is written line by line.
pub fn lines(lines: &[&str], body: &str) -> Vec<u8> {
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}
