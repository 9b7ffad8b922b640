//! Callers who speak HTTP/2.

use std::net::SocketAddr;

use bytes::Bytes;
use gateway_testing::Answer;
use gateway_tests::stage::CHAT;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// A connection, over which calls go one after the other.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn open(gateway: SocketAddr) -> Self {
        let stream = TcpStream::connect(gateway).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Makes a call, and reads its answer to the end.
    pub(crate) async fn call(&mut self, mut request: Request<Full<Bytes>>) -> Answer {
        *request.uri_mut() = format!("http://gateway{CHAT}").parse().unwrap();
        let (head, body) = self.0.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }
}
