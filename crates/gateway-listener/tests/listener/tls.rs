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

use crate::fixture::{PATIENCE, Server};

pub(crate) struct Files {
    folder: TempDir,
    certificate: CertifiedKey<KeyPair>,
}

impl Files {
    pub(crate) fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), certificate: self_signed() };
        files.write();
        files
    }

    /// Another certificate in the same files.
    fn renew(&mut self) {
        self.certificate = self_signed();
        self.write();
    }

    fn write(&self) {
        fs::write(self.paths().cert, self.certificate.cert.pem()).unwrap();
        fs::write(self.paths().key, self.certificate.signing_key.serialize_pem()).unwrap();
    }

    pub(crate) fn paths(&self) -> TlsFiles {
        TlsFiles { cert: self.folder.path().join("cert.pem"), key: self.folder.path().join("key.pem") }
    }

    async fn server(&self) -> Server {
        Server::with(|config| config.tls = Some(self.paths())).await
    }

    pub(crate) async fn connect(&self, server: &Server, protocol: &[u8]) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(server.address).await.unwrap();
        self.connector(protocol).connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }

    /// Trusts the certificate in the files and no other.
    fn connector(&self, protocol: &[u8]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}

fn self_signed() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
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

/// Calls on a connection that exists.
async fn call(client: &mut TlsStream<TcpStream>) {
    client.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"GET /a ") {
        assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "closed");
    }
}

#[tokio::test]
async fn a_certificate_is_changed_for_new_connections() {
    let mut files = Files::new();
    let server = files.server().await;
    let certificates = server.certificates.clone().unwrap();
    assert!(!certificates.reload(&files.paths()).unwrap(), "nothing changed");
    let mut before = files.connect(&server, b"http/1.1").await;
    call(&mut before).await;

    let trusts_the_old = files.connector(b"http/1.1");
    files.renew();
    assert!(certificates.reload(&files.paths()).unwrap());
    assert!(!certificates.reload(&files.paths()).unwrap());
    call(&mut files.connect(&server, b"http/1.1").await).await;
    // Not by a session of the old certificate, either.
    let stream = TcpStream::connect(server.address).await.unwrap();
    trusts_the_old.connect("localhost".try_into().unwrap(), stream).await.unwrap_err();
    call(&mut before).await;
    assert_eq!(files.connect(&server, b"h2").await.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn files_that_cannot_be_used_change_nothing() {
    let (files, other) = (Files::new(), Files::new());
    let server = files.server().await;
    let certificates = server.certificates.clone().unwrap();
    let TlsFiles { cert, key } = files.paths();
    let empty = files.folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    for (cert, key) in [
        (&other.paths().cert, &key),
        (&cert, &other.paths().key),
        (&empty, &key),
        (&cert, &empty),
        (&files.folder.path().join("missing.pem"), &key),
    ] {
        certificates.reload(&TlsFiles { cert: cert.clone(), key: key.clone() }).unwrap_err();
        call(&mut files.connect(&server, b"http/1.1").await).await;
    }
}

#[tokio::test]
async fn a_handshake_that_began_is_finished_while_draining() {
    let files = Files::new();
    let server = Server::with(|config| {
        config.tls = Some(files.paths());
        config.idle_grace = PATIENCE;
    })
    .await;
    // Both are accepted when the second one has been; the first has not sent anything then.
    let late = TcpStream::connect(server.address).await.unwrap();
    let mut held = files.connect(&server, b"http/1.1").await;
    held.write_all(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    server.probe.wait_for_calls(1).await;
    let probe = server.probe.clone();
    let stopping = server.stop();
    probe.release.add_permits(1);
    held.read_to_end(&mut Vec::new()).await.unwrap();
    let mut late = files.connector(b"http/1.1").connect("localhost".try_into().unwrap(), late).await.unwrap();
    late.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("GET /a ") && answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(stopping.await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_handshake_that_does_not_begin_is_not_waited_for() {
    let files = Files::new();
    let server = files.server().await;
    let mut silent = server.connect().await;
    let stopping = server.stop();
    silent.read_to_close().await;
    assert_eq!(stopping.await.unwrap().cut, 0);
}
