//! Trailers are headers that come late, and no list lets them through: none of the caller's reaches an upstream.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use gateway_tests::form::{BOUNDARY, Form};
use gateway_tests::stage::{CALLER_KEY, Stage};
use gateway_tests::wire::exchange;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// What arrived at the upstream.
#[derive(Debug)]
struct Received {
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

fn acceptor(protocol: &[u8]) -> TlsAcceptor {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// An upstream with TLS that speaks one protocol and tells what it receives. Unlike a scripted one it understands
/// trailers, in either protocol.
async fn upstream(protocol: &[u8]) -> (SocketAddr, mpsc::Receiver<Received>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor(protocol);
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            let service = service_fn(move |request: Request<Incoming>| answer(request, sender.clone()));
            tokio::spawn(async move {
                let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
                // It ends with the test.
                drop(auto::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await);
            });
        }
    });
    (address, receiver)
}

async fn answer(request: Request<Incoming>, sender: mpsc::Sender<Received>) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned();
    let received = Received { version: head.version, headers: head.headers, body: body.to_bytes(), trailers };
    sender.send(received).await.expect("a test that listens");
    Ok(Response::builder().header("content-type", "application/json").body(Full::from("{}")).unwrap())
}

/// A chunked request that announces a trailer and sends it.
fn with_trailer(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: gw\r\nx-api-key: {CALLER_KEY}\r\ncontent-type: {content_type}\r\n\
         trailer: x-late, authorization\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        body.len()
    );
    let end = format!("\r\n0\r\nx-late: 1\r\nauthorization: Bearer {CALLER_KEY}\r\n\r\n");
    [head.as_bytes(), body, end.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn none_reaches_an_upstream() {
    let form = Form::new().field("model", "gpt-4o").file("file", &vec![7; 100_000]).end();
    let form_type = format!("multipart/form-data; boundary={BOUNDARY}");
    for (protocol, version) in [(&b"http/1.1"[..], Version::HTTP_11), (b"h2", Version::HTTP_2)] {
        let (address, mut received) = upstream(protocol).await;
        let config = format!(
            "providers: [ {{ name: main, api_base: \"https://{address}/v1\", verify_ssl: false }} ]\n\
             master_keys: [ {{ name: team, key: \"${{CALLER_KEY}}\" }} ]\npassthrough: main\n"
        );
        let stage = Stage::of(&config).await;
        for (path, content_type, body) in
            [("/v1/files", "text/plain", &b"abc"[..]), ("/v1/audio/transcriptions", &form_type, &form)]
        {
            let row = format!("{path} over {version:?}");
            let reply = exchange(stage.gateway.address(), with_trailer(path, content_type, body)).await;
            assert_eq!(reply.status, 200, "{row}: {}", reply.body);
            let received = received.recv().await.unwrap();
            assert_eq!(received.version, version, "{row}");
            assert!(received.body == body, "{row}");
            assert_eq!(received.trailers, None, "{row}");
            assert_eq!(received.headers.get("trailer"), None, "{row}");
            assert_eq!(received.headers.get("te"), None, "{row}");
        }
    }
}
