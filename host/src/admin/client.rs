//! The admin API from outside: what the commands talk to a running gateway with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, IF_MATCH, IF_NONE_MATCH};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::plugins::SIGNATURE;
use crate::pem;

/// How long one call may take. Compiling a large plugin takes a while.
const TIME: Duration = Duration::from_secs(660);
/// The longest answer, in bytes.
const LONGEST: usize = 64 << 20;

/// A running gateway's admin API.
pub struct Client {
    url: Uri,
    token: String,
    tls: TlsConnector,
}

/// What is sent.
pub enum Content {
    /// Nothing.
    None,
    /// JSON.
    Json(Value),
    /// JSON, if what is there has this tag.
    JsonIf(Value, String),
    /// JSON, if nothing is there yet.
    JsonIfAbsent(Value),
    /// A component, with its signature if there is one.
    Component(Vec<u8>, Option<String>),
}

/// Why there is no answer, or none that is good.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The gateway cannot be reached.
    #[error("no admin API at {url}: {cause}; --admin or GATEHOUSE_ADMIN says where it is")]
    Unreachable {
        /// Where it should be.
        url: Uri,
        /// What happened.
        cause: String,
    },
    /// It said no.
    #[error("{0}")]
    Refused(String),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Client {
    /// For an API at this address. `ca` holds the authorities that vouch for it, instead of those that the machine trusts.
    pub fn new(url: Uri, token: String, ca: Option<&Path>) -> Result<Self, pem::PemError> {
        let roots = match ca {
            Some(path) => pem::authorities(path)?,
            None => native_roots(),
        };
        let config = ClientConfig::builder_with_provider(pem::provider())
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { url, token, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Sends something and returns what came back. Blocks.
    pub fn send(&self, method: Method, path: &str, content: Content) -> Result<Value, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| self.unreachable(error))?;
        let (status, body) = runtime.block_on(async {
            let exchange = self.exchange(self.request(method, path, content)?);
            tokio::time::timeout(TIME, exchange).await.map_err(|_| self.unreachable("it did not answer in time"))?
        })?;
        let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
        match status.is_success() {
            true => Ok(answer),
            false => Err(ClientError::Refused(refusal(status, &answer))),
        }
    }

    fn request(&self, method: Method, path: &str, content: Content) -> Result<Request<Full<Bytes>>, ClientError> {
        let host = self.url.authority().map(ToString::to_string).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(HOST, host);
        let request = request.header(AUTHORIZATION, format!("Bearer {}", self.token));
        let request = match content {
            Content::None => request.body(Full::default()),
            Content::Json(value) => request.header(CONTENT_TYPE, "application/json").body(Full::from(value.to_string())),
            Content::JsonIf(value, tag) => {
                let request = request.header(CONTENT_TYPE, "application/json").header(IF_MATCH, tag);
                request.body(Full::from(value.to_string()))
            }
            Content::JsonIfAbsent(value) => {
                let request = request.header(CONTENT_TYPE, "application/json").header(IF_NONE_MATCH, "*");
                request.body(Full::from(value.to_string()))
            }
            Content::Component(bytes, signature) => {
                let request = request.header(CONTENT_TYPE, "application/wasm");
                let request = signature.into_iter().fold(request, |request, signature| request.header(SIGNATURE, signature));
                request.body(Full::from(bytes))
            }
        };
        request.map_err(|error| self.unreachable(error))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = self.connect().await.map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.unreachable(error))?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| self.unreachable(error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(|error| self.unreachable(error))?;
        Ok((head.status, body.to_bytes()))
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let secure = self.url.scheme() == Some(&Scheme::HTTPS);
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        if !secure {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        Ok(Box::new(self.tls.connect(name, stream).await?))
    }

    fn unreachable(&self, cause: impl ToString) -> ClientError {
        ClientError::Unreachable { url: self.url.clone(), cause: cause.to_string() }
    }
}

/// What a problem document says, a line for each thing that is wrong.
fn refusal(status: StatusCode, problem: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let detail = problem["detail"].as_str().map_or_else(|| format!("the gateway answered {status}"), str::to_owned);
    let errors = problem["errors"].as_array().into_iter().flatten();
    let hint = |error: &Value| error["hint"].as_str().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
    let line = |error: &Value| {
        let [path, got, want] = ["path", "got", "want"].map(|key| text(&error[key]));
        format!("\n  {path}: got {got}, want {want}{}", hint(error))
    };
    let lines = errors.map(line);
    std::iter::once(detail).chain(lines).collect()
}

fn native_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let _ = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
