//! Certificates made on the spot, and a client that trusts them.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig,
    client::WantsClientCert,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

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

    /// The same on a connection that is there already.
    ///
    /// # Panics
    /// When the handshake fails.
    pub async fn secure(&self, stream: TcpStream, name: &str) -> TlsStream<TcpStream> {
        let name = ServerName::try_from(name.to_owned()).expect("the test's names are valid");
        let connector = TlsConnector::from(Arc::new(self.client(&[])));
        soon("a TLS handshake", connector.connect(name, stream)).await.expect("the handshake succeeds")
    }

    /// Connects as a client that shows a certificate of its own.
    ///
    /// # Errors
    /// When the handshake fails as far as the client sees; a server's refusal may come with the first read.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect_showing(&self, address: SocketAddr, name: &str, own: &Certificate) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        let name = ServerName::try_from(name.to_owned()).expect("the test's names are valid");
        let (chain, key) = own.for_rustls();
        let config = self.trusting().with_client_auth_cert(chain, key).expect("the certificate has its key");
        soon("a TLS handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await
    }

    /// The server's side: this certificate, these protocols, and clients only of that authority if there is one.
    ///
    /// # Panics
    /// Never: the certificate is well-formed.
    #[must_use]
    pub fn acceptor(&self, alpn: &[&str], clients: Option<&Certificate>) -> TlsAcceptor {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = builder.expect("the provider has the usual versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider()).build();
                builder.with_client_cert_verifier(verifier.expect("there is an authority"))
            }
        };
        let (chain, key) = self.for_rustls();
        let mut config = builder.with_single_cert(chain, key).expect("the certificate has its key");
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn for_rustls(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::try_from(self.certified.signing_key.serialize_der()).expect("rcgen writes keys that rustls reads");
        (vec![self.certified.cert.der().clone()], key)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certified.cert.der().clone()).expect("the certificate is well-formed");
        roots
    }

    fn trusting(&self) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let versions = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        versions.expect("the provider has the usual versions").with_root_certificates(self.roots())
    }

    fn client(&self, alpn: &[&str]) -> ClientConfig {
        let mut config = self.trusting().with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
