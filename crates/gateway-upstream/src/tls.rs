//! TLS settings: one for everybody, one for those who asked not to verify, one per set of private roots.
//!
//! A rustls `ClientConfig` holds some 150 trust anchors and the session cache, so each kind is built once in a process
//! and shared by all upstreams; a thousand providers cost no more than one. The cryptography is named explicitly:
//! nothing depends on which provider another crate may have installed as the process default. The roots are Mozilla's
//! (`webpki-roots`), since minimal container images have no store of their own.

mod unverified;

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

use crate::BuildError;
use unverified::AcceptAny;

/// Root certificates trusted beside the public ones, for private certificate authorities.
///
/// Clones share what was built from them: make one and give every upstream a clone.
#[derive(Clone)]
pub struct ExtraRoots(Arc<ClientConfig>);

impl ExtraRoots {
    /// Trusts these certificates and the public roots.
    pub fn new(roots: Vec<CertificateDer<'static>>) -> Result<Self, BuildError> {
        let mut store = public_roots();
        for root in roots {
            store.add(root).map_err(BuildError::Trust)?;
        }
        let builder = builder()?.with_root_certificates(store);
        Ok(Self(finish(builder.with_no_client_auth())))
    }
}

impl fmt::Debug for ExtraRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExtraRoots(…)")
    }
}

/// The settings for an upstream with this configuration.
pub(crate) fn client_config(verify: bool, extra: Option<&ExtraRoots>) -> Result<Arc<ClientConfig>, BuildError> {
    static VERIFYING: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    static ACCEPTING: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    match (verify, extra) {
        (true, Some(extra)) => Ok(Arc::clone(&extra.0)),
        (true, None) => {
            build_once(&VERIFYING, || Ok(builder()?.with_root_certificates(public_roots()).with_no_client_auth()))
        }
        (false, _) => build_once(&ACCEPTING, || {
            let verifier = Arc::new(AcceptAny::new(provider()));
            Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
        }),
    }
}

fn build_once(
    cell: &OnceLock<Arc<ClientConfig>>,
    build: impl FnOnce() -> Result<ClientConfig, BuildError>,
) -> Result<Arc<ClientConfig>, BuildError> {
    if let Some(built) = cell.get() {
        return Ok(Arc::clone(built));
    }
    let config = finish(build()?);
    Ok(Arc::clone(cell.get_or_init(|| config)))
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, BuildError> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(BuildError::Trust)
}

fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_kind_is_built_once() {
        let twice = |verify| (client_config(verify, None).unwrap(), client_config(verify, None).unwrap());
        let (verifying, again) = twice(true);
        assert!(Arc::ptr_eq(&verifying, &again));
        let (accepting, again) = twice(false);
        assert!(Arc::ptr_eq(&accepting, &again));
        assert!(!Arc::ptr_eq(&verifying, &accepting));
        let extra = ExtraRoots::new(Vec::new()).unwrap();
        let (private, again) =
            (client_config(true, Some(&extra)).unwrap(), client_config(true, Some(&extra.clone())).unwrap());
        assert!(Arc::ptr_eq(&private, &again));
    }

    #[test]
    fn a_root_that_is_no_certificate_is_refused() {
        assert!(matches!(ExtraRoots::new(vec![vec![1, 2, 3].into()]), Err(BuildError::Trust(_))));
    }
}
