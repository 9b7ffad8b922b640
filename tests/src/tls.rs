//! Certificates of gateways in tests, and callers who trust them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_testing::Folder;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name that every certificate is for.
pub const NAME: &str = "gateway.test";

/// A self-signed certificate for [`NAME`] and its key, in files of a folder of their own.
#[derive(Debug)]
pub struct Certificate {
    folder: Folder,
    content: CertificateDer<'static>,
}

/// Callers who believe one certificate.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl Certificate {
    /// Makes a certificate and writes the files.
    pub fn issue() -> Self {
        let folder = Folder::empty();
        let content = write_new(&folder);
        Self { folder, content }
    }

    /// Puts another certificate and its key into the places of those that are there, each in one go.
    pub fn replace(&mut self) {
        self.content = write_new(&self.folder);
    }

    /// Overwrites the certificate, though not what is trusted.
    pub fn damage(&self) {
        self.folder.write("cert.pem", "no certificate");
    }

    /// The member of `server` that names the files.
    pub fn setting(&self) -> String {
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| self.folder.path().join(name));
        format!("tls: {{ cert: {}, key: {} }}", cert.display(), key.display())
    }

    /// Callers who believe it, and offer these protocols.
    pub fn trust(&self, protocols: &[&[u8]]) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(self.content.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the versions that the provider knows")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Trust(TlsConnector::from(Arc::new(config)))
    }
}

impl Trust {
    /// Opens a connection.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        self.secure(TcpStream::connect(address).await?).await
    }

    /// Makes one secure that is there.
    pub async fn secure(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.connect(NAME.try_into().expect("a name"), stream).await
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

fn write_new(folder: &Folder) -> CertificateDer<'static> {
    let pair = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    for (name, text) in [("key.pem", pair.signing_key.serialize_pem()), ("cert.pem", pair.cert.pem())] {
        folder.write("new", text);
        let [new, place] = ["new", name].map(|name| folder.path().join(name));
        std::fs::rename(new, place).expect("a folder of our own");
    }
    pair.cert.der().clone()
}
