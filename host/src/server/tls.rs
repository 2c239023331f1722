//! TLS on listeners, by rustls: which certificate a client gets, which clients are asked for one, and HTTP/2 by ALPN.
//! TLS 1.2 is the oldest version spoken.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::pem::{self, PemError};

use super::client_certificate::Details;

/// TLS of a listener, as configured.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// Certificate chains with their keys, PEM. The first is for clients that name no host, or one that none is for.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// Which clients' certificates are verified.
    pub client_auth: Option<ClientAuth>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// Verification of clients.
#[derive(Debug, Clone)]
pub struct ClientAuth {
    /// The authorities that sign clients' certificates, PEM.
    pub ca: PathBuf,
    /// Whether a client without one is refused.
    pub required: bool,
}

/// A listener's TLS, ready to use.
pub struct Tls {
    /// Makes the handshake.
    pub acceptor: TlsAcceptor,
    /// Whether clients may have certificates.
    pub verifies_clients: bool,
}

/// Why a listener has no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A certificate or its key.
    #[error(transparent)]
    Certificate(#[from] PemError),
    /// No certificate at all.
    #[error("a TLS listener needs a certificate")]
    None,
    /// The authorities of clients.
    #[error("client_auth: {0}")]
    ClientAuth(String),
}

impl Tls {
    /// Reads the files, which blocks.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let keys = settings.certificates.iter().map(|(chain, key)| pem::certified(chain, key)).collect::<Result<Vec<_>, _>>()?;
        let certificates = Certificates::new(keys).ok_or(TlsError::None)?;
        let verifier = settings.client_auth.as_ref().map_or_else(|| Ok(Arc::new(NoClientAuth) as _), verifier)?;
        let mut config = ServerConfig::builder_with_provider(pem::provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the suites of TLS 1.2 and 1.3")
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(certificates));
        let offers: &[&[u8]] = if settings.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { acceptor, verifies_clients: settings.client_auth.is_some() })
    }
}

fn verifier(settings: &ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let wrong = |error: VerifierBuilderError| TlsError::ClientAuth(error.to_string());
    let roots = pem::authorities(&settings.ca).map_err(|error| TlsError::ClientAuth(error.to_string()))?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), pem::provider());
    match settings.required {
        true => builder.build().map_err(wrong),
        false => builder.allow_unauthenticated().build().map_err(wrong),
    }
}

/// When the first certificate of a chain (PEM) ends to be valid, in seconds of Unix time. None where that cannot be read.
pub fn not_after(chain: &Path) -> Option<i64> {
    let certificates = pem::certificates(chain).ok()?;
    Details::of(certificates.first()?).map(|details| details.not_after)
}

/// Chooses the certificate by the name that the client asks for: the one for exactly this name, else one for all names
/// beside it, else the first.
#[derive(Debug)]
struct Certificates {
    first: Arc<CertifiedKey>,
    /// By name, in lower case; `*.example.com` as such.
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    fn new(keys: Vec<CertifiedKey>) -> Option<Self> {
        let keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        let mut by_name = HashMap::new();
        for key in &keys {
            let Some(details) = key.cert.first().and_then(|certificate| Details::of(certificate)) else { continue };
            // The earlier certificate keeps a name that several have.
            for name in &details.dns_names {
                by_name.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(key));
            }
        }
        Some(Self { first: Arc::clone(keys.first()?), by_name })
    }

    fn find(&self, name: &str) -> &Arc<CertifiedKey> {
        let name = name.to_ascii_lowercase();
        let beside = || name.split_once('.').and_then(|(_, rest)| self.by_name.get(&format!("*.{rest}")));
        self.by_name.get(&name).or_else(beside).unwrap_or(&self.first)
    }
}

impl rustls::server::ResolvesServerCert for Certificates {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(hello.server_name().map_or(&self.first, |name| self.find(name))))
    }
}
