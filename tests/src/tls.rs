//! Certificates made on the spot, and a client that trusts them.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::wire::soon;

/// A certificate for some names with its key.
pub struct Certificate {
    certified: CertifiedKey<rcgen::KeyPair>,
}

impl Certificate {
    /// Makes a certificate for these names, signed by itself.
    ///
    /// # Panics
    /// When a name is not one.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Self { certified: generate_simple_self_signed(names).expect("the test's names are valid") }
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.certified.cert.pem()
    }

    /// The private key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.certified.signing_key.serialize_pem()
    }

    /// Connects to a server that has this certificate, as a client that trusts nothing else.
    ///
    /// # Panics
    /// When the handshake fails.
    pub async fn connect(&self, address: SocketAddr, name: &str, alpn: &[&str]) -> TlsStream<TcpStream> {
        self.try_connect(address, name, alpn).await.expect("the handshake succeeds")
    }

    /// Connects to a server that may have another certificate.
    ///
    /// # Errors
    /// When the handshake fails.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn try_connect(&self, address: SocketAddr, name: &str, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        let name = ServerName::try_from(name.to_owned()).expect("the test's names are valid");
        let connector = TlsConnector::from(Arc::new(self.client(alpn)));
        soon("a TLS handshake", connector.connect(name, stream)).await
    }

    fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certified.cert.der().clone()).expect("the certificate is well-formed");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.expect("the provider has the usual versions").with_root_certificates(roots);
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}
