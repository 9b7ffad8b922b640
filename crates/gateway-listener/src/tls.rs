//! TLS from PEM files. Both files are read at bind, so that a broken pair stops the start and not a handshake, and again
//! when asked to; a handshake takes the pair that is in use when it begins.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{BindError, TlsFiles};

impl TlsFiles {
    /// Reads both files and sees whether they fit together, as [`Listener::bind`](crate::Listener::bind) does, without
    /// listening. Whether callers will trust the certificate, or it is out of date, is not looked at.
    pub fn check(&self) -> Result<(), BindError> {
        KeyPair::load(self).map(drop)
    }
}

/// The certificate of a running listener, and the way to change it.
#[derive(Clone)]
pub struct Certificates {
    /// A handshake takes microseconds of a lock in milliseconds of arithmetic.
    current: Arc<RwLock<KeyPair>>,
}

impl Certificates {
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, BindError> {
        Ok(Self { current: Arc::new(RwLock::new(KeyPair::load(files)?)) })
    }

    /// Reads the files and uses them for every handshake that begins from now on; false if they hold what is in use.
    /// Connections that exist go on. On an error nothing changes.
    ///
    /// Reads from disk: not to be called where that must not block.
    pub fn reload(&self, files: &TlsFiles) -> Result<bool, BindError> {
        let pair = KeyPair::load(files)?;
        let mut current = self.current.write();
        // A certificate holds its public key, and the private one was found to fit.
        let is_new = current.chain != pair.chain;
        if is_new {
            *current = pair;
        }
        Ok(is_new)
    }

    /// For one handshake.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().acceptor.clone()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

struct KeyPair {
    chain: Vec<CertificateDer<'static>>,
    /// Offers HTTP/2, then HTTP/1.1.
    acceptor: TlsAcceptor,
}

impl KeyPair {
    fn load(files: &TlsFiles) -> Result<Self, BindError> {
        let unusable = |source| BindError::UnusableKeyPair { cert: files.cert.clone(), key: files.key.clone(), source };
        let chain = read_certificates(files)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|source| BindError::ReadPem { path: files.key.clone(), source })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { chain, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

fn read_certificates(files: &TlsFiles) -> Result<Vec<CertificateDer<'static>>, BindError> {
    let broken = |source| BindError::ReadPem { path: files.cert.clone(), source };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(&files.cert).map_err(broken)?.collect::<Result<_, _>>().map_err(broken)?;
    if certificates.is_empty() {
        return Err(BindError::NoCertificate { path: files.cert.clone() });
    }
    Ok(certificates)
}
