//! TLS from PEM files. Both files are read once, at bind, so that a broken pair stops the start and not a handshake.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{BindError, TlsFiles};

impl TlsFiles {
    /// Reads both files and sees whether they fit together, as [`Listener::bind`](crate::Listener::bind) does, without
    /// listening. Whether callers will trust the certificate, or it is out of date, is not looked at.
    pub fn check(&self) -> Result<(), BindError> {
        load_acceptor(self).map(drop)
    }
}

/// An acceptor that offers HTTP/2, then HTTP/1.1.
pub(crate) fn load_acceptor(files: &TlsFiles) -> Result<TlsAcceptor, BindError> {
    let unusable = |source| BindError::UnusableKeyPair { cert: files.cert.clone(), key: files.key.clone(), source };
    let certificates = read_certificates(files)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| BindError::ReadPem { path: files.key.clone(), source })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
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
