//! Certificates and private keys from PEM files, for listeners and for upstreams.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;

/// Why certificates cannot be used.
#[derive(Debug, Error)]
pub enum PemError {
    /// A file cannot be read, or is not PEM.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("{path}: {source}")]
    Key {
        /// The certificate's file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}

/// The cryptography of every TLS connection.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificates of a file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let file = |cause: String| PemError::File { path: path.to_owned(), cause };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|cause| file(cause.to_string()))?;
    match certificates.is_empty() {
        true => Err(file("there is no certificate in it".into())),
        false => Ok(certificates),
    }
}

/// A certificate chain with its private key.
pub fn certified(chain: &Path, key: &Path) -> Result<CertifiedKey, PemError> {
    let certificates = certificates(chain)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| PemError::File { path: key.to_owned(), cause: cause.to_string() })?;
    CertifiedKey::from_der(certificates, private, &aws_lc_rs::default_provider())
        .map_err(|source| PemError::Key { path: chain.to_owned(), source })
}

/// The authorities of a file, as what is trusted.
pub fn authorities(path: &Path) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| PemError::Key { path: path.to_owned(), source })?;
    }
    Ok(roots)
}
