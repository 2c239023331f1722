//! OTLP over HTTP with protobuf: one batch of spans, one POST to a collector. Runs on the main thread, never on a worker.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The longest answer of a collector that is read.
const MAX_ANSWER: usize = 64 << 10;

/// Where spans go, and in whose name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collector {
    /// `http` or `https`, with the path of the traces.
    pub url: Uri,
    /// Sent along, for authentication.
    pub headers: HeaderMap,
    /// How long one POST may take.
    pub timeout: Duration,
    /// The `service.name` of everything sent.
    pub service_name: String,
}

/// Why a batch did not arrive.
#[derive(Debug, Error)]
pub enum PostError {
    /// There is no connection.
    #[error("no connection to {authority}")]
    Connect {
        /// To whom.
        authority: String,
        /// Why not.
        source: io::Error,
    },
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The exchange broke off.
    #[error("the exchange broke off")]
    Exchange(#[source] hyper::Error),
    /// The collector cannot take it now.
    #[error("the collector answered {status}")]
    Busy {
        /// 429, 502, 503 or 504.
        status: StatusCode,
        /// When to ask again.
        retry_after: Option<Duration>,
    },
    /// The collector will never take it.
    #[error("the collector answered {0}")]
    Refused(StatusCode),
}

/// Posts to a collector, on one connection while it lasts.
#[derive(Default)]
pub struct Client {
    sender: Option<SendRequest<Full<Bytes>>>,
    /// To whom that connection is.
    connected: Option<Uri>,
    tls: Option<TlsConnector>,
}

/// A batch as it is sent, encoded once for all tries.
pub fn encode(spans: Vec<Span>, service_name: &str) -> Bytes {
    let attributes = vec![attribute("service.name", service_name), attribute("service.version", env!("CARGO_PKG_VERSION"))];
    let scope =
        InstrumentationScope { name: "gatehouse".into(), version: env!("CARGO_PKG_VERSION").into(), ..InstrumentationScope::default() };
    let resource = Resource { attributes, ..Resource::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

fn attribute(key: &str, text: &str) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Value::StringValue(text.into())) }), ..KeyValue::default() }
}

// === impl PostError ===

impl PostError {
    /// Whether the same batch may do better later (OTLP's rules for retries).
    pub fn is_passing(&self) -> bool {
        !matches!(self, PostError::Refused(_))
    }

    /// When the collector wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            PostError::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

// === impl Client ===

impl Client {
    /// Sends a batch. How many of its spans the collector did not want.
    pub async fn post(&mut self, collector: &Collector, batch: Bytes) -> Result<u64, PostError> {
        let posted = tokio::time::timeout(collector.timeout, self.exchange(collector, batch)).await;
        let posted = posted.unwrap_or(Err(PostError::Timeout(collector.timeout)));
        if posted.is_err() {
            self.sender = None;
        }
        posted
    }

    async fn exchange(&mut self, collector: &Collector, batch: Bytes) -> Result<u64, PostError> {
        let mut sender = match self.idle(&collector.url).await {
            Some(sender) => sender,
            None => self.connect(&collector.url).await?,
        };
        let response = sender.send_request(request(collector, batch)).await.map_err(PostError::Exchange)?;
        let rejected = understand(response).await?;
        self.sender = Some(sender);
        self.connected = Some(collector.url.clone());
        Ok(rejected)
    }

    async fn idle(&mut self, url: &Uri) -> Option<SendRequest<Full<Bytes>>> {
        let mut sender = self.sender.take().filter(|_| self.connected.as_ref() == Some(url))?;
        sender.ready().await.is_ok().then_some(sender)
    }

    async fn connect(&mut self, url: &Uri) -> Result<SendRequest<Full<Bytes>>, PostError> {
        let connected = self.try_connect(url).await;
        connected.map_err(|source| PostError::Connect { authority: url.authority().map(ToString::to_string).unwrap_or_default(), source })
    }

    async fn try_connect(&mut self, url: &Uri) -> io::Result<SendRequest<Full<Bytes>>> {
        let secure = url.scheme() == Some(&Scheme::HTTPS);
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, url.port_u16().unwrap_or(if secure { 443 } else { 80 }))).await?;
        if !secure {
            return handshake(TokioIo::new(stream)).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        handshake(TokioIo::new(self.tls()?.connect(name, stream).await?)).await
    }

    /// Trusts the certificate authorities of this machine, which are read when they are first needed.
    fn tls(&mut self) -> io::Result<&TlsConnector> {
        if self.tls.is_none() {
            let mut roots = rustls::RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_root_certificates(roots)
                .with_no_client_auth();
            self.tls = Some(TlsConnector::from(Arc::new(config)));
        }
        Ok(self.tls.as_ref().expect("it was made just now"))
    }
}

async fn handshake(io: impl Read + Write + Send + Unpin + 'static) -> io::Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    // It ends when the sender is dropped; its error reaches us through the answer.
    tokio::spawn(connection);
    Ok(sender)
}

fn request(collector: &Collector, batch: Bytes) -> Request<Full<Bytes>> {
    let path = collector.url.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    let mut request = Request::new(Full::new(batch));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = path.into();
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("gatehouse/", env!("CARGO_PKG_VERSION"))));
    headers.extend(collector.headers.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let authority = collector.url.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    headers.extend(authority.map(|authority| (HOST, authority)));
    request
}

async fn understand(response: Response<Incoming>) -> Result<u64, PostError> {
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Err(PostError::Busy { status: head.status, retry_after: retry_after(&head.headers) })
        }
        status if !status.is_success() => Err(PostError::Refused(status)),
        _ => Ok(rejected(body).await),
    }
}

/// The spans are there whatever becomes of the rest of the answer.
async fn rejected(body: Incoming) -> u64 {
    let Ok(answer) = Limited::new(body, MAX_ANSWER).collect().await else { return 0 };
    let answer = ExportTraceServiceResponse::decode(answer.to_bytes()).unwrap_or_default();
    answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
