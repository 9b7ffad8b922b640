//! A plain HTTP client for tests, which hides nothing.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take; far more than anything on one machine does.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON. Panics if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// One header as text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `code` of an error body; empty if there is none.
    pub fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection to a server, over which requests go one after the other.
#[derive(Debug)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Client {
    /// Opens a connection. Panics if there is none to be had.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.unwrap_or_else(|error| panic!("{address}: {error}"));
        tokio::spawn(connection);
        Self { sender, address }
    }

    /// Sends a request and waits for the head of its answer. Panics if there is none; dropping the answer closes the
    /// connection.
    pub async fn open(&mut self, mut request: Request<Full<Bytes>>) -> Response<Incoming> {
        if let Ok(host) = self.address.to_string().parse() {
            request.headers_mut().entry(header::HOST).or_insert(host);
        }
        // The connection takes a moment to see the end of the answer before.
        self.sender.ready().await.unwrap_or_else(|error| panic!("the connection is closed: {error}"));
        let answer = timeout(PATIENCE, self.sender.send_request(request)).await;
        answer.unwrap_or_else(|_| panic!("no answer")).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Sends a request and reads its answer to the end. Panics if it breaks off.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = self.open(request).await.into_parts();
        let body = timeout(PATIENCE, body.collect()).await.unwrap_or_else(|_| panic!("the answer does not end"));
        let body = body.unwrap_or_else(|error| panic!("the answer broke off: {error}")).to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }
}

/// `GET path` on a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    Client::connect(address).await.send(request("GET", path, Bytes::new())).await
}

/// `POST path` with a JSON body on a connection of its own.
pub async fn post(address: SocketAddr, path: &str, body: impl Into<Bytes>) -> Answer {
    Client::connect(address).await.send(request("POST", path, body)).await
}

/// A request; with a body, it is announced as JSON. Panics if its parts are no request.
pub fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let body = body.into();
    let mut builder = Request::builder().method(method).uri(path);
    if !body.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    builder.body(Full::new(body)).unwrap_or_else(|error| panic!("no request: {error}"))
}
