//! Certificates, and which protocol is chosen.

use std::sync::Arc;

use gateway_upstream::{CertificateDer, ExtraRoots, Origin, Upstream, UpstreamConfig, UpstreamErrorKind};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::peer::{OK, Peer, call, send};

/// A listener with a certificate of its own making, valid for `localhost` and 127.0.0.1.
pub(crate) struct TlsPeer {
    pub(crate) peer: Peer,
    pub(crate) root: CertificateDer<'static>,
    acceptor: TlsAcceptor,
}

impl TlsPeer {
    pub(crate) async fn new(protocols: &[&str]) -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let root = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![root.clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { peer: Peer::new("https").await, root, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// An upstream that trusts the peer's certificate.
    pub(crate) fn upstream(&self) -> Upstream {
        let mut config = self.peer.config.clone();
        config.extra_roots = Some(ExtraRoots::new(vec![self.root.clone()]).unwrap());
        Upstream::new(config).unwrap()
    }

    pub(crate) async fn accept(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let wire = self.peer.accept().await;
        self.acceptor.accept(wire.stream).await
    }

    /// Serves one call over HTTP/1.1, and tells the name that the client asked for.
    async fn serve(&self) -> std::io::Result<Option<String>> {
        let mut stream = self.accept().await?;
        let name = stream.get_ref().1.server_name().map(str::to_owned);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\na") {
            assert_ne!(stream.read_buf(&mut request).await?, 0);
        }
        stream.write_all(OK.as_bytes()).await?;
        stream.flush().await?;
        Ok(name)
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let server = TlsPeer::new(&["http/1.1"]).await;
    let upstream = Upstream::new(server.peer.config.clone()).unwrap();
    let (failed, outcome) = join!(send(&upstream, "a"), server.serve());
    assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::Tls);
    assert!(outcome.is_err());
}

#[tokio::test]
async fn verification_can_be_switched_off() {
    let server = TlsPeer::new(&["http/1.1"]).await;
    let mut config = server.peer.config.clone();
    config.verify_certificates = false;
    let upstream = Upstream::new(config).unwrap();
    let (answer, outcome) = join!(call(&upstream, "a"), server.serve());
    assert_eq!(answer.unwrap(), "ok");
    assert_eq!(outcome.unwrap(), None, "an address is no server name");
}

#[tokio::test]
async fn extra_roots_are_trusted_for_names_and_addresses() {
    let server = TlsPeer::new(&["http/1.1"]).await;
    let upstream = server.upstream();
    let (answer, outcome) = join!(call(&upstream, "a"), server.serve());
    assert_eq!(answer.unwrap(), "ok");
    assert_eq!(outcome.unwrap(), None);

    let port = server.peer.listener.local_addr().unwrap().port();
    let origin = Origin::from_uri(&format!("https://localhost:{port}").parse().unwrap()).unwrap();
    let roots = ExtraRoots::new(vec![server.root.clone()]).unwrap();
    let config = UpstreamConfig { extra_roots: Some(roots), ..UpstreamConfig::new(origin) };
    let upstream = Upstream::new(config).unwrap();
    let (answer, outcome) = join!(call(&upstream, "a"), server.serve());
    assert_eq!(answer.unwrap(), "ok");
    assert_eq!(outcome.unwrap().as_deref(), Some("localhost"));
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_a_tls_error() {
    let peer = Peer::new("https").await;
    let upstream = Upstream::new(peer.config.clone()).unwrap();
    let serving = async { peer.accept().await.write("HTTP/1.1 400 Bad Request\r\n\r\n").await };
    let (failed, ()) = join!(send(&upstream, "a"), serving);
    assert_eq!(failed.unwrap_err().kind(), UpstreamErrorKind::Tls);
}
