//! Certificates of authorities of one's own, whom a receiver may have its certificate from.

use std::path::Path;

use gateway_upstream::{CertificateDer, ExtraRoots};
use rustls_pki_types::pem::{Error, PemObject};

use super::SettingsProblem;

/// Trusts the certificates of a file in PEM. What else is in the file does not count.
pub(super) fn read(file: &Path) -> Result<ExtraRoots, SettingsProblem> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| match error {
        Error::Io(error) => SettingsProblem::File(error.kind()),
        _ => SettingsProblem::Certificates,
    })?;
    if certificates.is_empty() {
        return Err(SettingsProblem::Certificates);
    }
    ExtraRoots::new(certificates).map_err(|_| SettingsProblem::Certificates)
}
