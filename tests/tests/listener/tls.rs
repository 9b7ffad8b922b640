//! TLS: both protocols by ALPN, on a certificate from files.

use bytes::Bytes;
use gateway_testing::Script;
use gateway_tests::patience::until;
use gateway_tests::stage::{CHAT, Stage, authorized};
use gateway_tests::stream::{STREAMED_CALL, finish, text};
use gateway_tests::tls::Certificate;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

struct Secured {
    stage: Stage,
    certificate: Certificate,
}

impl Secured {
    async fn start() -> Self {
        let certificate = Certificate::issue();
        let stage = Stage::with(&format!("server: {{ {} }}\n", certificate.setting())).await;
        Self { stage, certificate }
    }

    async fn connect(&self, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        self.certificate.trust(protocols).connect(self.stage.gateway.address()).await
    }
}

fn call() -> Request<Full<Bytes>> {
    let mut request = authorized("POST", CHAT, STREAMED_CALL);
    *request.uri_mut() = format!("https://gateway.test{CHAT}").parse().unwrap();
    request.headers_mut().insert("host", "gateway.test".parse().unwrap());
    request
}

async fn assert_streamed(response: Response<Incoming>) {
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"), "{body:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_preferred() {
    let secured = Secured::start().await;
    let stream = secured.connect(&[b"http/1.1", b"h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        secured.stage.upstream.push(Script::events([&*text("a"), &*finish(), "[DONE]"]));
        let mut request = call();
        request.headers_mut().remove("host");
        assert_streamed(sender.send_request(request).await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_is_spoken_where_it_is_asked_for() {
    let secured = Secured::start().await;
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let stream = secured.connect(protocols).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), protocols.first().copied());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..3 {
            secured.stage.upstream.push(Script::events([&*text("a"), &*finish(), "[DONE]"]));
            let mut request = call();
            *request.uri_mut() = CHAT.parse().unwrap();
            sender.ready().await.unwrap();
            assert_streamed(sender.send_request(request).await.unwrap()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_are_refused() {
    let secured = Secured::start().await;
    assert!(secured.connect(&[b"spdy/3"]).await.is_err());
    let mut plain = gateway_tests::wire::Wire::open(secured.stage.gateway.address()).await;
    plain.write("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n").await;
    assert!(!plain.rest().await.contains("HTTP/1.1 200"));
    secured.connect(&[b"h2"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_used_as_soon_as_it_is_there() {
    let mut secured = Secured::start().await;
    let old = secured.connect(&[b"http/1.1"]).await.unwrap();
    secured.certificate.replace();
    let accepted = async || secured.connect(&[b"http/1.1"]).await.ok();
    until("the other certificate", accepted).await;
    // Connections that are there stay.
    let (mut sender, connection) = http1::handshake(TokioIo::new(old)).await.unwrap();
    tokio::spawn(connection);
    secured.stage.upstream.push(Script::events([&*text("a"), &*finish(), "[DONE]"]));
    let mut request = call();
    *request.uri_mut() = CHAT.parse().unwrap();
    assert_streamed(sender.send_request(request).await.unwrap()).await;

    // One that cannot be used changes nothing, and is told of.
    secured.certificate.damage();
    secured.stage.gateway.log_line(|line| line.contains("is refused") && line.contains("server.tls"));
    secured.connect(&[b"http/1.1"]).await.unwrap();
}
