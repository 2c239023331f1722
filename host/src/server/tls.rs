//! TLS on listeners, by rustls. HTTP/2 is agreed on by ALPN.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCertUsingSni;
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// Why a listener has no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
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
    /// No certificate at all.
    #[error("a TLS listener needs a certificate")]
    None,
}

/// An acceptor with these certificates (certificate chain and key, PEM). The first is shown to clients that name no
/// host or one that no certificate is for.
pub fn acceptor(certificates: &[(PathBuf, PathBuf)], http2: bool) -> Result<TlsAcceptor, TlsError> {
    let keys = certificates.iter().map(|(chain, key)| certified(chain, key)).collect::<Result<Vec<_>, _>>()?;
    let resolver = Certificates { keys: keys.into_iter().map(Arc::new).collect() };
    if resolver.keys.is_empty() {
        return Err(TlsError::None);
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the suites of TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certified(chain: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let file = |path: &Path, cause: rustls::pki_types::pem::Error| TlsError::File { path: path.to_owned(), cause: cause.to_string() };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|cause| file(chain, cause))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|cause| file(key, cause))?;
    CertifiedKey::from_der(certificates, private, &aws_lc_rs::default_provider())
        .map_err(|source| TlsError::Key { path: chain.to_owned(), source })
}

/// When the first certificate of a chain (PEM) ends to be valid, in seconds of Unix time. None where that cannot be read.
pub fn not_after(chain: &Path) -> Option<i64> {
    let certificate = CertificateDer::from_pem_file(chain).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// Chooses the certificate by the name that the client asks for.
#[derive(Debug)]
struct Certificates {
    keys: Vec<Arc<CertifiedKey>>,
}

impl rustls::server::ResolvesServerCert for Certificates {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| hello.server_name().is_some_and(|name| is_for(key, name));
        self.keys.iter().find(fits).or_else(|| self.keys.first()).map(Arc::clone)
    }
}

/// Whether the certificate is for this name: rustls' own resolver checks exactly that when a name is added to it.
fn is_for(key: &CertifiedKey, name: &str) -> bool {
    ResolvesServerCertUsingSni::new().add(name, key.clone()).is_ok()
}
