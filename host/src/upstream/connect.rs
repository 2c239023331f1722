//! New connections to endpoints: TCP, TLS where the endpoint has it, and hyper's HTTP/1.1 on top.

use std::io;
use std::sync::{Arc, OnceLock};

use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::body::Body;

use super::Endpoint;

/// Connects, and leaves a task on this worker that drives the connection.
pub async fn connect(endpoint: &Endpoint) -> io::Result<SendRequest<Body>> {
    let address = endpoint.address().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    let stream = TcpStream::connect(address).await?;
    // Small requests must not wait for the acknowledgement of those before them.
    stream.set_nodelay(true)?;
    match endpoint.tls {
        false => handshake(TokioIo::new(stream)).await,
        true => {
            let name = ServerName::try_from(endpoint.host.to_string()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(client_tls()?).connect(name, stream).await?;
            handshake(TokioIo::new(stream)).await
        }
    }
}

async fn handshake(io: impl Read + Write + Unpin + 'static) -> io::Result<SendRequest<Body>> {
    let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(sender)
}

/// One configuration for all workers, with the certificates that the system trusts. Read at the first use.
pub(super) fn client_tls() -> io::Result<Arc<rustls::ClientConfig>> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}
