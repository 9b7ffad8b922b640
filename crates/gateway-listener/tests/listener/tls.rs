//! TLS: both protocols by ALPN, broken files named at bind, handshakes that never end given up.

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway_listener::{BindError, Listener, ListenerConfig, TlsFiles};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fixture::Server;

pub(crate) struct Files {
    folder: TempDir,
    certificate: CertifiedKey<KeyPair>,
}

impl Files {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("cert.pem"), certificate.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
        Self { folder, certificate }
    }

    pub(crate) fn paths(&self) -> TlsFiles {
        TlsFiles { cert: self.folder.path().join("cert.pem"), key: self.folder.path().join("key.pem") }
    }

    async fn server(&self) -> Server {
        Server::with(|config| config.tls = Some(self.paths())).await
    }

    pub(crate) async fn connect(&self, server: &Server, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(server.address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }
}

#[tokio::test]
async fn http1_is_spoken_and_guarded_over_tls() {
    let files = Files::new();
    let server = files.server().await;
    let mut client = files.connect(&server, b"http/1.1").await;
    client.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    client
        .write_all(b"GET /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let mut answers = String::new();
    timeout(Duration::from_secs(10), client.read_to_string(&mut answers)).await.expect("not closed").unwrap();
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n") && answers.contains("GET /a HTTP/1.1 400"), "{answers}");
    assert_eq!(server.probe.seen(), ["GET /a "]);
}

#[tokio::test]
async fn http2_is_negotiated_and_drains() {
    let files = Files::new();
    let server = files.server().await;
    let stream = files.connect(&server, b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |path: &str| Request::get(format!("https://localhost{path}")).body(Empty::<&[u8]>::new()).unwrap();

    let quick = sender.send_request(request("/a")).await.unwrap();
    assert_eq!(quick.into_body().collect().await.unwrap().to_bytes(), "GET /a ");

    let held = sender.send_request(request("/hold"));
    server.probe.wait_for_calls(2).await;
    let probe = server.probe.clone();
    let stopping = server.stop();
    let finish = async {
        probe.release.add_permits(1);
        held.await.unwrap()
    };
    assert_eq!(finish.await.into_body().collect().await.unwrap().to_bytes(), "GET /hold ");
    assert_eq!(stopping.await.unwrap().cut, 0);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up() {
    let files = Files::new();
    let server = Server::with(|config| {
        config.tls = Some(files.paths());
        config.head.header_timeout = Duration::from_millis(100);
    })
    .await;
    let mut client = server.connect().await;
    client.send(b"\x16\x03\x01").await;
    client.read_to_close().await;
}

/// What binding says of the files, which checking them must say, too.
async fn bind_error(cert: &Path, key: &Path) -> BindError {
    let files = TlsFiles { cert: cert.to_owned(), key: key.to_owned() };
    let mut config = ListenerConfig::new("127.0.0.1:0");
    config.tls = Some(files.clone());
    let error = Listener::bind(&config).await.unwrap_err();
    assert_eq!(files.check().unwrap_err().to_string(), error.to_string());
    error
}

#[tokio::test]
async fn broken_files_are_named() {
    let (files, other) = (Files::new(), Files::new());
    let TlsFiles { cert, key } = files.paths();
    let path = |name: &str| files.folder.path().join(name);
    fs::write(path("empty.pem"), "").unwrap();
    fs::write(path("torn.pem"), &fs::read(&cert).unwrap()[..80]).unwrap();

    let missing = bind_error(&path("missing.pem"), &key).await;
    assert!(missing.to_string().contains("missing.pem"), "{missing}");
    assert!(missing.source().unwrap().to_string().contains("No such file"), "{missing:?}");
    for (error, file) in [
        (bind_error(&path("empty.pem"), &key).await, "empty.pem"),
        (bind_error(&path("torn.pem"), &key).await, "torn.pem"),
        (bind_error(&cert, &path("empty.pem")).await, "empty.pem"),
        (bind_error(&cert, &cert).await, "cert.pem"),
    ] {
        assert!(error.to_string().contains(file), "{error}");
    }
    let mismatch = bind_error(&cert, &other.paths().key).await;
    assert!(matches!(mismatch, BindError::UnusableKeyPair { .. }), "{mismatch}");
}

#[test]
fn files_are_checked_without_listening() {
    let files = Files::new();
    files.paths().check().unwrap();
    fs::remove_file(files.paths().key).unwrap();
    assert!(matches!(files.paths().check(), Err(BindError::ReadPem { path, .. }) if path == files.paths().key));
}

#[tokio::test]
async fn addresses_that_cannot_be_bound_are_named() {
    let taken = Listener::bind(&ListenerConfig::new("127.0.0.1:0")).await.unwrap();
    let address = taken.local_addr().to_string();
    let error = Listener::bind(&ListenerConfig::new(&address)).await.unwrap_err();
    assert!(matches!(error, BindError::Bind { .. }) && error.to_string().contains(&address), "{error}");
    let error = Listener::bind(&ListenerConfig::new("no port")).await.unwrap_err();
    assert!(matches!(error, BindError::Resolve { .. }), "{error}");
}
