//! `HEAD`: the head that `GET` would get, and nothing behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use gateway_testing::{Client, Script};
use gateway_tests::stage::{Stage, authorized, with_header};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

const PATHS: [&str; 2] = ["/v1/models", "/v1/models/gpt-4o"];

/// A path that the gateway does not know, and what the upstream answers to `HEAD` there.
const FILE: &str = "/v1/files/file-1";
const FILE_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4711\r\n\r\n";

/// Checks the answer to `HEAD` against the length of the one to `GET`, and its line in the access log.
fn assert_headed(stage: &Stage, row: &str, (status, headers, body): (StatusCode, HeaderMap, Bytes), length: usize) {
    assert_eq!((status.as_u16(), body.len()), (200, 0), "{row}");
    assert_eq!(headers["content-length"], length.to_string(), "{row}");
    assert_eq!(headers["content-type"], "application/json", "{row}");
    let line = stage.access_line(headers["x-request-id"].to_str().unwrap());
    assert_eq!((&line["status"], &line["error"]), (&200.into(), &serde_json::Value::Null), "{row}: {line}");
}

#[tokio::test]
async fn over_http_1_the_connection_goes_on() {
    let stage = Stage::with("passthrough: main\n").await;
    let mut client = Client::connect(stage.gateway.address()).await;
    for path in PATHS {
        let request = |method| with_header(authorized(method, path, ""), "x-request-id", &format!("h1-{method}"));
        let whole = client.send(request("GET")).await;
        let head = client.send(request("HEAD")).await;
        assert_headed(&stage, path, (head.status, head.headers, head.body), whole.body.len());
        assert_eq!(client.send(request("GET")).await.body, whole.body, "{path}");
    }
    stage.upstream.push(Script::new().write(FILE_HEAD));
    let head = client.send(with_header(authorized("HEAD", FILE, ""), "x-request-id", "h1-file")).await;
    assert_headed(&stage, FILE, (head.status, head.headers, head.body), 4711);
    // What `GET` would get is decoded on the way, and nobody knows how long it is then.
    stage
        .upstream
        .push(Script::new().write(FILE_HEAD.replace("content-type", "content-encoding: gzip\r\ncontent-type")));
    let head = client.send(authorized("HEAD", FILE, "")).await;
    assert_eq!((head.status.as_u16(), head.headers.get("content-encoding")), (200, None));
    assert_eq!(head.headers.get("content-length"), None);
    stage.upstream.push(Script::new().write(FILE_HEAD.replace("200 OK", "204 No Content")));
    let head = client.send(authorized("HEAD", FILE, "")).await;
    assert_eq!((head.status.as_u16(), head.headers.get("content-length")), (204, None));
    assert_eq!(client.send(authorized("GET", PATHS[0], "")).await.status, 200);
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, method: &str, path: &str) -> (StatusCode, HeaderMap, Bytes) {
    let mut request: Request<Full<Bytes>> = authorized(method, path, "");
    *request.uri_mut() = format!("http://gateway{path}").parse().unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn over_http_2_the_stream_ends_in_order() {
    let stage = Stage::with("passthrough: main\n").await;
    let stream = TcpStream::connect(stage.gateway.address()).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for path in PATHS {
        let (_, _, whole) = send(&mut sender, "GET", path).await;
        let head = send(&mut sender, "HEAD", path).await;
        assert_headed(&stage, path, head, whole.len());
    }
    stage.upstream.push(Script::new().write(FILE_HEAD));
    assert_headed(&stage, FILE, send(&mut sender, "HEAD", FILE).await, 4711);
}
