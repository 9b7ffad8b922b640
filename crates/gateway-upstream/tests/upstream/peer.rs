//! The other side: a listener whose connections are scripted byte by byte.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use gateway_call::Deadline;
use gateway_upstream::{Origin, RequestBody, ResponseBody, SendLimits, Upstream, UpstreamConfig, UpstreamError};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Longer than anything here takes, so that a hang fails a test instead of stopping all of them.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A listener, and an upstream that points to it.
pub(crate) struct Peer {
    pub(crate) listener: TcpListener,
    pub(crate) config: UpstreamConfig,
}

impl Peer {
    pub(crate) async fn new(scheme: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("{scheme}://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let config = UpstreamConfig::new(Origin::from_uri(&uri.parse().unwrap()).unwrap());
        Self { listener, config }
    }

    pub(crate) async fn plain() -> (Self, Upstream) {
        let peer = Self::new("http").await;
        let upstream = Upstream::new(peer.config.clone()).unwrap();
        (peer, upstream)
    }

    pub(crate) async fn accept(&self) -> Wire {
        let (stream, _) = within_patience(self.listener.accept()).await.unwrap();
        Wire { stream, buffer: Vec::new() }
    }

    /// Connects by itself, and tells whether that is the next connection. It is unless calls that have ended, or wait
    /// for something, opened one that nobody accepted: that would be in the queue before it.
    pub(crate) async fn is_next(&self) -> bool {
        let ours = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (_, from) = self.listener.accept().await.unwrap();
        from == ours.local_addr().unwrap()
    }
}

/// A connection as the upstream sees it.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    /// One request: its head as text, and its body by `content-length`.
    pub(crate) async fn read_request(&mut self) -> (String, Vec<u8>) {
        let head = self.read_head().await;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse::<usize>().unwrap());
        while self.buffer.len() < length {
            self.fill().await;
        }
        (head, self.buffer.drain(..length).collect())
    }

    pub(crate) async fn read_head(&mut self) -> String {
        String::from_utf8(self.read_until(b"\r\n\r\n").await).unwrap()
    }

    /// What comes up to the end of these bytes.
    pub(crate) async fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            self.fill().await;
        }
    }

    async fn fill(&mut self) {
        let read = within_patience(self.stream.read_buf(&mut self.buffer)).await.unwrap();
        assert_ne!(read, 0, "closed in the middle of a request");
    }

    pub(crate) async fn write(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
    }

    /// Reads a request and answers it.
    pub(crate) async fn serve(&mut self, answer: &str) -> (String, Vec<u8>) {
        let request = self.read_request().await;
        self.write(answer).await;
        request
    }

    /// Waits for the other side to close, and tells what still came before it did.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        let ended: io::Result<_> = within_patience(self.stream.read_to_end(&mut rest)).await;
        if let Err(error) = ended {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        rest
    }
}

pub(crate) async fn within_patience<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

pub(crate) fn limits() -> SendLimits {
    SendLimits { connect: PATIENCE, headers: PATIENCE, deadline: Deadline::after(Instant::now().into_std(), PATIENCE) }
}

pub(crate) fn post(body: impl Into<Bytes>) -> Request<RequestBody> {
    Request::post("/v1/x?y=1").body(RequestBody::from(body.into())).unwrap()
}

pub(crate) async fn send(upstream: &Upstream, body: &'static str) -> Result<Response<ResponseBody>, UpstreamError> {
    within_patience(upstream.send(post(body), limits())).await
}

/// Sends a request and reads the whole answer.
pub(crate) async fn call(upstream: &Upstream, body: &'static str) -> Result<Bytes, UpstreamError> {
    read(send(upstream, body).await?).await
}

pub(crate) async fn read(response: Response<ResponseBody>) -> Result<Bytes, UpstreamError> {
    Ok(within_patience(response.into_body().collect()).await?.to_bytes())
}
