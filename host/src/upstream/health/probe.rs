//! One question to an endpoint, on a connection of its own: one that is kept could be the only one that still works.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo};
use thiserror::Error;
use tokio::net::TcpStream;

use super::Check;
use crate::upstream::transport::Protocol;
use crate::upstream::{Endpoint, connect, http2};

/// Why there was no answer.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// Too late.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No connection.
    #[error("connect: {0}")]
    Connect(#[from] io::Error),
    /// The exchange broke off.
    #[error("{0}")]
    Exchange(#[from] hyper::Error),
}

/// Asks, and gives the status of the answer. The rest of it is not read.
pub async fn ask(endpoint: &Endpoint, check: &Check) -> Result<StatusCode, ProbeError> {
    tokio::time::timeout(check.timeout, connect_and_ask(endpoint, check)).await.unwrap_or(Err(ProbeError::Timeout(check.timeout)))
}

async fn connect_and_ask(endpoint: &Endpoint, check: &Check) -> Result<StatusCode, ProbeError> {
    let mut address = endpoint.address().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    address.set_port(check.port.unwrap_or(address.port()));
    let request = request(endpoint, check, address);
    let stream = TcpStream::connect(address).await?;
    if !endpoint.tls {
        return match check.transport.protocol {
            Protocol::Http2 => exchange_http2(TokioIo::new(stream), request, endpoint).await,
            Protocol::Http1 | Protocol::Auto => exchange(TokioIo::new(stream), request).await,
        };
    }
    let stream = connect::secure(endpoint, &check.transport, stream, false).await?;
    match stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        true => exchange_http2(TokioIo::new(stream), request, endpoint).await,
        false => exchange(TokioIo::new(stream), request).await,
    }
}

async fn exchange(io: impl Read + Write + Unpin + Send + 'static, request: Request<Empty<Bytes>>) -> Result<StatusCode, ProbeError> {
    let (mut sender, connection) = http1::handshake(io).await?;
    // Driven here and dropped with the answer's head, so that nothing of a check outlives it.
    let mut answer = pin!(sender.send_request(request));
    let answered = tokio::select! {
        answered = answer.as_mut() => answered,
        // Whatever ended it has also been told to who waits for the answer, which may be there already.
        _ = connection => answer.await,
    };
    Ok(answered?.status())
}

/// The same in HTTP/2, where an endpoint may speak nothing else.
async fn exchange_http2(
    io: impl Read + Write + Unpin + Send + 'static,
    mut request: Request<Empty<Bytes>>,
    endpoint: &Endpoint,
) -> Result<StatusCode, ProbeError> {
    http2::prepare(&mut request, endpoint);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    let mut answer = pin!(sender.send_request(request));
    let answered = tokio::select! {
        answered = answer.as_mut() => answered,
        _ = connection => answer.await,
    };
    Ok(answered?.status())
}

fn request(endpoint: &Endpoint, check: &Check, address: SocketAddr) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = check.path.clone().into();
    let headers = request.headers_mut();
    let host = match check.port {
        None => endpoint.authority.to_string(),
        Some(_) => SocketAddr::new(address.ip(), address.port()).to_string(),
    };
    if let Ok(host) = HeaderValue::from_str(&host) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static("gatehouse-health"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.extend(check.headers.clone());
    request
}
