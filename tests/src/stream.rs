//! A streamed call as its caller sees it, event by event, and the events that an upstream sends for it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_testing::Client;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::stage::{CHAT, authorized};

/// How long the next event may take; far more than anything on one machine does.
const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest streamed call.
pub const STREAMED_CALL: &str = r#"{"model":"gpt-4o","stream":true}"#;

/// The event that ends a stream.
pub const DONE: &str = "data: [DONE]\n\n";

/// A streamed answer that is arriving. Dropping it closes its connection.
#[derive(Debug)]
pub struct Events {
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: HeaderMap,
    body: Incoming,
    bytes: BytesMut,
    /// How much of `bytes` was searched for the end of an event.
    searched: usize,
    /// Kept, because the connection ends with it.
    _client: Client,
}

impl Events {
    /// Makes the smallest streamed call over a connection of its own, and waits for the head of its answer.
    pub async fn open(gateway: SocketAddr) -> Self {
        Self::of(gateway, authorized("POST", CHAT, STREAMED_CALL)).await
    }

    /// The same with another request.
    pub async fn of(gateway: SocketAddr, request: Request<Full<Bytes>>) -> Self {
        let mut client = Client::connect(gateway).await;
        let (head, body) = client.open(request).await.into_parts();
        Self { status: head.status, headers: head.headers, body, bytes: BytesMut::new(), searched: 0, _client: client }
    }

    /// The next event with the empty line that ends it; `None` at the proper end of the body. Panics if the body breaks
    /// off, or ends within an event.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let fresh = &self.bytes[self.searched..];
            if let Some(at) = fresh.windows(2).position(|window| window == b"\n\n") {
                let event = self.bytes.split_to(self.searched + at + 2);
                self.searched = 0;
                return Some(String::from_utf8(event.to_vec()).expect("text"));
            }
            self.searched = self.bytes.len().saturating_sub(1);
            let Some(part) = self.part().await else {
                assert!(self.bytes.is_empty(), "the answer ended in the middle of {:?}", self.bytes);
                return None;
            };
            self.bytes.extend_from_slice(&part.expect("the answer broke off"));
        }
    }

    /// All events up to the proper end of the body.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Reads to the end; says whether the connection broke instead of ending the body.
    pub async fn breaks_off(&mut self) -> bool {
        while let Some(part) = self.part().await {
            if part.is_err() {
                return true;
            }
        }
        false
    }

    async fn part(&mut self) -> Option<hyper::Result<Bytes>> {
        let frame = timeout(PATIENCE, self.body.frame()).await;
        let frame = frame.unwrap_or_else(|_| panic!("silence behind {:?}", self.bytes))?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }
}

/// The payload of an event with text, as the upstream sends it.
pub fn text(text: &str) -> String {
    let text = serde_json::json!(text);
    payload(&format!(r#"{{"content":{text}}}"#), "null")
}

/// The payload of the event that opens most streams.
pub fn role() -> String {
    payload(r#"{"role":"assistant","content":""}"#, "null")
}

/// The payload of the event that says why the model stopped.
pub fn finish() -> String {
    payload("{}", r#""stop""#)
}

fn payload(delta: &str, reason: &str) -> String {
    format!(
        r#"{{"id":"c-1","model":"gpt-4o-2024","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#
    )
}

/// The event that the caller gets for a payload from the upstream.
pub fn event(payload: &str) -> String {
    format!("data: {}\n\n", payload.replace("gpt-4o-2024", "gpt-4o"))
}

/// Takes the `gateway` member, which is the last, out of an event's payload. Panics if there is none.
pub fn without_gateway(event: &str) -> String {
    let at = event.find(r#","gateway":{"#).unwrap_or_else(|| panic!("no gateway member in {event}"));
    let end = event.rfind("}}").expect("an object in an object");
    format!("{}{}", &event[..at], &event[end + 1..])
}

/// The `code` of an event that reports an error. Panics if it is another.
pub fn error_code(event: &str) -> String {
    let payload = event.strip_prefix("data: ").expect("a payload");
    let payload: serde_json::Value = serde_json::from_str(payload).unwrap_or_else(|error| panic!("{error} in {event}"));
    payload["error"]["code"].as_str().unwrap_or_else(|| panic!("no error in {event}")).to_owned()
}
