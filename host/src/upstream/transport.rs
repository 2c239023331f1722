//! How an upstream's endpoints are spoken to: in which version of HTTP, and under TLS with what is trusted and shown.
//! Built with the snapshot, since it reads files; connections are made by it in `connect`.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::pem::{self, PemError};

/// Which version of HTTP endpoints are spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by prior knowledge without TLS, by ALPN with it.
    Http2,
    /// What the endpoint chooses by ALPN; HTTP/1.1 without TLS.
    Auto,
}

/// How endpoints are spoken to.
#[derive(Debug)]
pub struct Transport {
    /// Which version of HTTP.
    pub protocol: Protocol,
    /// The same for transports that are alike, files included; a connection serves only requests of its own transport.
    pub id: u64,
    tls: Option<Tls>,
}

/// TLS to endpoints, as configured.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// Authorities to trust, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The name to ask for and to check, instead of the endpoint's host.
    pub sni: Option<String>,
    /// The gateway's own certificate chain and key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// Why there is no such transport.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The authorities.
    #[error(transparent)]
    Authorities(PemError),
    /// The gateway's own certificate.
    #[error(transparent)]
    ClientCertificate(PemError),
    /// The name to ask for.
    #[error("{0:?} is not a host name")]
    Sni(String),
}

#[derive(Debug)]
struct Tls {
    /// Instead of the endpoint's host.
    name: Option<ServerName<'static>>,
    /// Offers what the protocol says.
    preferred: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone, as an upgrade needs it.
    http1: Arc<ClientConfig>,
}

// === impl Transport ===

impl Transport {
    /// HTTP/1.1 without TLS.
    pub fn plain() -> Self {
        Self { protocol: Protocol::Http1, id: 0, tls: None }
    }

    /// A transport for endpoints of which some speak TLS if `secure`. Reads files, which blocks.
    pub fn new(protocol: Protocol, settings: &TlsSettings, secure: bool) -> Result<Self, TransportError> {
        let mut identity = Sha256::new();
        identity.update([protocol as u8]);
        let tls = match secure {
            true => Some(Tls::new(protocol, settings, &mut identity)?),
            false => None,
        };
        let digest = identity.finalize();
        let id = u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"));
        Ok(Self { protocol, id, tls })
    }

    /// What to offer an endpoint under TLS, and the name to ask for instead of its own.
    pub(super) fn tls(&self, http1_only: bool) -> Option<(&Arc<ClientConfig>, Option<&ServerName<'static>>)> {
        let tls = self.tls.as_ref()?;
        Some((if http1_only { &tls.http1 } else { &tls.preferred }, tls.name.as_ref()))
    }
}

impl PartialEq for Transport {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Tls {
    fn new(protocol: Protocol, settings: &TlsSettings, identity: &mut Sha256) -> Result<Self, TransportError> {
        let roots = match &settings.ca {
            None => system_roots(),
            Some(ca) => {
                let roots = pem::authorities(ca).map_err(TransportError::Authorities)?;
                roots.roots.iter().for_each(|root| part(identity, root.subject_public_key_info.as_ref()));
                Arc::new(roots)
            }
        };
        let own = settings.client_certificate.as_ref().map(|(chain, key)| pem::certified(chain, key));
        let own = own.transpose().map_err(TransportError::ClientCertificate)?;
        own.iter().flat_map(|own| &own.cert).for_each(|certificate| part(identity, certificate));
        part(identity, settings.sni.as_deref().unwrap_or_default().as_bytes());
        let name = settings.sni.as_ref().map(|sni| ServerName::try_from(sni.clone()).map_err(|_| TransportError::Sni(sni.clone())));
        let http1 = config(roots, own, &[b"http/1.1"]);
        Ok(Self { name: name.transpose()?, preferred: Arc::new(offering(&http1, protocol)), http1: Arc::new(http1) })
    }
}

/// A part of an identity; its length keeps it apart from the next.
fn part(identity: &mut Sha256, bytes: &[u8]) {
    identity.update(bytes.len().to_be_bytes());
    identity.update(bytes);
}

fn config(roots: Arc<RootCertStore>, own: Option<CertifiedKey>, offers: &[&[u8]]) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(pem::provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has the suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let resolver: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(own));
            builder.with_client_cert_resolver(resolver)
        }
    };
    config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
    config
}

/// The same, with its session tickets, for another protocol.
fn offering(http1: &ClientConfig, protocol: Protocol) -> ClientConfig {
    let mut config = http1.clone();
    config.alpn_protocols = match protocol {
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
        Protocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    config
}

/// What the system trusts, read once: it takes tens of milliseconds.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    Arc::clone(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(protocol: Protocol, sni: Option<&str>) -> u64 {
        let settings = TlsSettings { sni: sni.map(str::to_owned), ..TlsSettings::default() };
        Transport::new(protocol, &settings, true).expect("the settings are good").id
    }

    #[test]
    fn a_connection_is_shared_only_among_transports_that_are_alike() {
        assert_eq!(id(Protocol::Auto, Some("a.example")), id(Protocol::Auto, Some("a.example")));
        assert_ne!(id(Protocol::Auto, Some("a.example")), id(Protocol::Auto, Some("b.example")));
        assert_ne!(id(Protocol::Auto, None), id(Protocol::Http2, None));
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let settings = TlsSettings { sni: Some("not a name".into()), ..TlsSettings::default() };
        assert!(matches!(Transport::new(Protocol::Http1, &settings, true), Err(TransportError::Sni(_))));
    }
}
