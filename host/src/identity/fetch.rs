//! Small documents by HTTP, for the background only: one GET, a deadline, a size, no redirect. Forms are in [`post`].

pub mod post;

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{ACCEPT, CACHE_CONTROL, CONNECTION, HOST, USER_AGENT},
    uri::Scheme,
};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tracing::warn;

/// Something that fetches documents. The gateway uses [`Http`]; a test brings its own.
pub trait Fetch: Send + Sync + 'static {
    /// Fetches the document at an `http` or `https` address.
    fn get(&self, url: &Uri) -> impl Future<Output = Result<Fetched, FetchError>> + Send;
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its text.
    pub body: Bytes,
    /// What its server says about keeping it.
    pub cache_control: Option<String>,
}

/// Why there is no document.
#[derive(Debug, Error)]
pub enum FetchError {
    /// It did not arrive in time.
    #[error("it did not arrive within {:?}", Http::TIMEOUT)]
    Timeout,
    /// It did not arrive in the time that this fetch had.
    #[error("it did not arrive within {0:?}")]
    Late(Duration),
    /// No connection.
    #[error("no connection to {host}")]
    Connect {
        /// To whom.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// The host has no certificate we trust, or is not named so that it could have.
    #[error("no trusted TLS connection to {host}")]
    Tls {
        /// To whom.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// An address we cannot ask.
    #[error("{0} is not an address of a host")]
    Address(Uri),
    /// The exchange broke off.
    #[error("the exchange broke off")]
    Exchange(#[source] hyper::Error),
    /// The answer is not the document.
    #[error("the answer has the status {0}")]
    Status(StatusCode),
    /// The document is too large.
    #[error("the document is larger than {} bytes", Http::MAX_BODY)]
    TooLarge,
    /// The document broke off.
    #[error("the document broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Fetches by HTTP/1.1, a connection for each document.
#[derive(Clone)]
pub struct Http {
    tls: TlsConnector,
    idle: Arc<post::Idle>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

// === impl Http ===

impl Http {
    /// How long a fetch may take, all in all.
    pub const TIMEOUT: Duration = Duration::from_millis(1_500);

    /// The longest document, in bytes.
    pub const MAX_BODY: usize = 150 * 1024;

    /// Trusts the certificate authorities of this machine.
    pub fn new() -> Self {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        let (trusted, _) = roots.add_parsable_certificates(native.certs);
        if trusted == 0 {
            warn!(errors = ?native.errors, "this machine trusts no certificate authority; https key sets cannot be fetched");
        }
        Self::with_roots(roots)
    }

    /// Trusts these certificate authorities.
    pub fn with_roots(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)), idle: Arc::default() }
    }

    async fn exchange(&self, url: &Uri) -> Result<Fetched, FetchError> {
        let host = url.host().ok_or_else(|| FetchError::Address(url.clone()))?;
        let request = request(url)?;
        let stream = self.connect(url, host.trim_matches(['[', ']'])).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(FetchError::Exchange)?;
        // It ends by itself when the answer is read or dropped; its error reaches us through the answer.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(FetchError::Exchange)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let cache_control = response.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let cache_control = cache_control.map(str::to_owned);
        Ok(Fetched { body: read(response.into_body()).await?, cache_control })
    }

    async fn connect(&self, url: &Uri, host: &str) -> Result<Box<dyn Stream>, FetchError> {
        let secure = url.scheme() == Some(&Scheme::HTTPS);
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(|source| FetchError::Connect { host: host.into(), source })?;
        if !secure {
            return Ok(Box::new(stream));
        }
        let tls = |source| FetchError::Tls { host: host.into(), source };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| tls(io::Error::other(error)))?;
        Ok(Box::new(self.tls.connect(name, stream).await.map_err(tls)?))
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetch for Http {
    async fn get(&self, url: &Uri) -> Result<Fetched, FetchError> {
        timeout(Self::TIMEOUT, self.exchange(url)).await.map_err(|_| FetchError::Timeout)?
    }
}

fn request(url: &Uri) -> Result<Request<Empty<Bytes>>, FetchError> {
    let address = || FetchError::Address(url.clone());
    let authority = url.authority().ok_or_else(address)?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    Request::get(path)
        .header(HOST, authority.as_str())
        .header(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"))
        .header(USER_AGENT, HeaderValue::from_static("gatehouse"))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .map_err(|_| address())
}

async fn read(body: Incoming) -> Result<Bytes, FetchError> {
    match Limited::new(body, Http::MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge),
        Err(error) => Err(FetchError::Body(error)),
    }
}

#[cfg(test)]
mod tests {
    use rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinHandle,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::identity::testing::{CERTIFICATE, CERTIFICATE_KEY};

    // Answers one connection with `answer` and hands back what it was asked.
    async fn origin(answer: Vec<u8>) -> (Uri, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/keys?v=1", listener.local_addr().expect("it is bound"));
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.expect("a whole head"));
            }
            // The asker may have enough before the end.
            let _ = stream.write_all(&answer).await;
            String::from_utf8(asked).expect("a head of ASCII")
        });
        (url.parse().expect("an address"), asked)
    }

    fn http() -> Http {
        Http::with_roots(RootCertStore::empty())
    }

    fn answer(head: &str, length: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; length]].concat()
    }

    #[tokio::test]
    async fn a_document_comes_with_what_its_server_says_about_keeping_it() {
        let (url, asked) = origin(answer("200 OK\r\ncache-control: max-age=60", 5)).await;
        let fetched = http().get(&url).await.unwrap();
        assert_eq!(fetched, Fetched { body: "xxxxx".into(), cache_control: Some("max-age=60".into()) });
        let asked = asked.await.expect("the origin does not panic");
        assert!(asked.starts_with("GET /keys?v=1 HTTP/1.1\r\nhost: 127.0.0.1:"), "{asked}");
    }

    #[tokio::test]
    async fn a_document_comes_by_tls_from_a_host_whose_certificate_is_trusted() {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).expect("the certificate of the tests");
        let key = PrivateKeyDer::from_pem_slice(CERTIFICATE_KEY.as_bytes()).expect("its key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("certificate and key fit");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url: Uri = format!("https://{}/", listener.local_addr().expect("it is bound")).parse().expect("an address");
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = [0; 1_024];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(&answer("200 OK", 5)).await;
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("it can be trusted");
        assert_eq!(Http::with_roots(roots).get(&url).await.unwrap().body, "xxxxx", "trusted");
        assert!(matches!(http().get(&url).await, Err(FetchError::Tls { .. })), "not trusted");
    }

    #[tokio::test]
    async fn what_is_not_the_document_is_an_error() {
        let (url, _asked) = origin(answer("302 Found\r\nlocation: /other", 0)).await;
        assert!(matches!(http().get(&url).await, Err(FetchError::Status(StatusCode::FOUND))), "a redirect");
        let (url, _asked) = origin(answer("200 OK", Http::MAX_BODY)).await;
        assert_eq!(http().get(&url).await.unwrap().body.len(), Http::MAX_BODY, "the longest");
        let (url, _asked) = origin(answer("200 OK", Http::MAX_BODY + 1)).await;
        assert!(matches!(http().get(&url).await, Err(FetchError::TooLarge)), "a byte more");
        let (url, _asked) = origin(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec()).await;
        assert!(matches!(http().get(&url).await, Err(FetchError::Body(_))), "it broke off");
        let (url, _asked) = origin(b"SSH-2.0-x\r\n\r\n".to_vec()).await;
        assert!(matches!(http().get(&url).await, Err(FetchError::Exchange(_))), "not HTTP");
    }

    #[tokio::test]
    async fn a_host_that_is_not_there_or_not_trusted_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        drop(listener);
        let url = format!("http://{address}/").parse().expect("an address");
        assert!(matches!(http().get(&url).await, Err(FetchError::Connect { .. })), "nobody listens");
        let (url, _asked) = origin(answer("200 OK", 5)).await;
        let url = url.to_string().replace("http:", "https:").parse().expect("an address");
        assert!(matches!(http().get(&url).await, Err(FetchError::Tls { .. } | FetchError::Timeout)), "no TLS there");
    }

    #[tokio::test]
    async fn a_host_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound")).parse().expect("an address");
        assert!(matches!(http().get(&url).await, Err(FetchError::Timeout)), "the kernel accepted, nobody answers");
    }
}
