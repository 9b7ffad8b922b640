//! Whoever holds the admin key.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use gateway_testing::{Answer, Client, client};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::stage::with_header;

/// The admin key of every gateway that has one.
pub const ADMIN_KEY: &str = "admin-8d2f60b4c17e49a3b5d0f6e2";

/// Where keys are.
pub const KEYS: &str = "/admin/v1/master-keys";

/// Where it is written who changed what.
pub const AUDIT: &str = "/admin/v1/audit";

/// An administrator of the gateway at this address.
#[derive(Debug, Clone, Copy)]
pub struct Administrator(pub SocketAddr);

/// A key that was just made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its identifier.
    pub id: String,
    /// The key itself.
    pub key: String,
    /// The whole answer.
    pub answer: Value,
}

impl Administrator {
    /// Sends a request with the admin key over a connection of its own.
    pub async fn send(self, method: &str, path: &str, body: impl Into<Bytes>) -> Answer {
        Client::connect(self.0).await.send(signed(method, path, body)).await
    }

    /// The same to a gateway that may end at any moment.
    pub async fn try_send(self, method: &str, path: &str, body: &Value) -> io::Result<Answer> {
        try_send(self.0, signed(method, path, body.to_string())).await
    }

    /// Makes a key. Panics if it is not made.
    pub async fn create(self, fields: Value) -> Made {
        let answer = self.send("POST", KEYS, fields.to_string()).await;
        assert_eq!(answer.status, 201, "{fields}: {}", answer.text());
        Made::of(&answer)
    }

    /// Changes a key and gives what it is then. Panics if it is not changed.
    pub async fn change(self, id: &str, fields: Value) -> Value {
        let answer = self.send("PATCH", &one(id), fields.to_string()).await;
        assert_eq!(answer.status, 200, "{id}: {fields}: {}", answer.text());
        answer.json()
    }

    /// Makes a new key in the place of one. Panics if it is not made.
    pub async fn rotate(self, id: &str, overlap_secs: u64) -> Made {
        let body = json!({ "overlap_secs": overlap_secs });
        let answer = self.send("POST", &format!("{}/rotate", one(id)), body.to_string()).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        Made::of(&answer)
    }

    /// Ends a key. Panics if that is refused.
    pub async fn remove(self, id: &str) {
        let answer = self.send("DELETE", &one(id), "").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (204, String::new()), "{id}");
    }

    /// A key as it is shown. Panics if there is none.
    pub async fn find(self, id: &str) -> Value {
        let answer = self.send("GET", &one(id), "").await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        answer.json()
    }

    /// All keys, as they are shown.
    pub async fn list(self) -> Vec<Value> {
        self.pages(KEYS, "cursor", 1000).await
    }

    /// All entries of the audit log, the latest first.
    pub async fn audit(self) -> Vec<Value> {
        self.pages(AUDIT, "before", 1000).await
    }

    /// All of a list that comes in pages of so many entries. Panics if a page is larger, or if a page that is not the last
    /// is smaller.
    pub async fn pages(self, path: &str, place: &str, limit: usize) -> Vec<Value> {
        let mut all = Vec::new();
        let mut query = format!("{path}?limit={limit}");
        loop {
            let answer = self.send("GET", &query, "").await;
            assert_eq!(answer.status, 200, "{query}: {}", answer.text());
            let page = answer.json();
            let entries = page["data"].as_array().expect("a list").clone();
            assert!(entries.len() <= limit, "{query}: {} entries", entries.len());
            let next = match &page[format!("next_{place}")] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                number => Some(number.to_string()),
            };
            assert!(next.is_none() || entries.len() == limit, "{query}: {} entries", entries.len());
            all.extend(entries);
            let Some(next) = next else { return all };
            query = format!("{path}?limit={limit}&{place}={next}");
        }
    }
}

impl Made {
    fn of(answer: &Answer) -> Self {
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).to_owned();
        Self { id: text("id"), key: text("key"), answer }
    }
}

/// The path of a key.
pub fn one(id: &str) -> String {
    format!("{KEYS}/{id}")
}

/// A request with the admin key.
pub fn signed(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    with_header(client::request(method, path, body), "authorization", &format!("Bearer {ADMIN_KEY}"))
}

/// Sends a request, over a connection of its own, to a server that may be gone or end meanwhile.
pub async fn try_send(address: SocketAddr, request: Request<Full<Bytes>>) -> io::Result<Answer> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(TcpStream::connect(address).await?)).await.map_err(io::Error::other)?;
    let task = tokio::spawn(connection);
    let request = with_header(request, "host", &address.to_string());
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Answer { status: head.status, headers: head.headers, body })
    };
    let answer = answer.await.map_err(io::Error::other);
    task.abort();
    answer
}
