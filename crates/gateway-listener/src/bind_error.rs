//! Why a listener could not be set up, in words that say what to change.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A listener could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is no `host:port`, or its host is unknown.
    #[error("cannot resolve the listen address `{address}`; expected host:port such as 0.0.0.0:8080")]
    Resolve {
        /// The address as configured.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address could be bound.
    #[error("cannot listen on `{address}`; is the port taken, or below 1024 without the right to it?")]
    Bind {
        /// The address as configured.
        address: String,
        /// What the system said about the last address tried.
        source: io::Error,
    },
    /// A socket that was handed over cannot be used.
    #[error("the socket that was handed over is no TCP socket that listens")]
    Unusable {
        /// What the system said.
        source: io::Error,
    },
    /// A PEM file could not be read or holds broken PEM.
    #[error("cannot read PEM from `{}`", path.display())]
    ReadPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate file holds no certificate.
    #[error("`{}` holds no certificate; expected a `-----BEGIN CERTIFICATE-----` section", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The certificate and the key cannot be used, or not together.
    #[error("the certificate in `{}` cannot be used with the key in `{}`", cert.display(), key.display())]
    UnusableKeyPair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}
