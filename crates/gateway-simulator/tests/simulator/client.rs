//! A client that reads until the server closes, so that truncation shows.

use std::time::Duration;

use gateway_simulator::RunningSimulator;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer, whole or not.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The framing said that this was the end.
    pub(crate) is_whole: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        assert!(self.is_whole, "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The data of all events; fails on anything that is not one.
    pub(crate) fn events(&self) -> Vec<&str> {
        let events = self.text().strip_suffix("\n\n").unwrap().split("\n\n");
        events.map(|event| event.strip_prefix("data: ").unwrap()).collect()
    }
}

pub(crate) async fn post(simulator: &RunningSimulator, path: &str, body: &Value) -> Answer {
    let body = body.to_string();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    exchange(simulator, &(head + &body)).await
}

/// Sends a request and reads to the close of the connection, in order or not.
pub(crate) async fn exchange(simulator: &RunningSimulator, request: &str) -> Answer {
    let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A reset is a way of cutting, too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    parse(&bytes)
}

pub(crate) fn parse(bytes: &[u8]) -> Answer {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Answer { head: String::from_utf8(bytes.to_vec()).unwrap(), body: Vec::new(), is_whole: false };
    };
    let head = String::from_utf8(bytes[..end + 2].to_vec()).unwrap();
    let rest = &bytes[end + 4..];
    if head.contains("transfer-encoding: chunked\r\n") {
        let (body, is_whole) = decode_chunks(rest);
        return Answer { head, body, is_whole };
    }
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    Answer { head, body: rest.to_vec(), is_whole: rest.len() == length }
}

fn decode_chunks(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        let data = &bytes[end + 2..];
        if size == 0 {
            return (body, true);
        }
        body.extend_from_slice(&data[..size.min(data.len())]);
        bytes = data.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}
