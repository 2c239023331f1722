//! New connections to endpoints: TCP, TLS where the endpoint has it, and hyper's HTTP/1.1 or HTTP/2 on top.

use std::io;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::body::Body;

use super::http2::Http2;
use super::line::Line;
use super::transport::{Protocol, Transport};
use super::{Endpoint, http2, upgrade};

/// How long what was sent over HTTP/2 may stay without an acknowledgement of the other machine.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// A new connection, driven by a task on this worker.
pub enum Connected {
    /// For one request at a time.
    Http1(SendRequest<Body>),
    /// For many.
    Http2(Http2),
}

/// Connects in the version of HTTP that the transport says, or the endpoint chooses.
pub async fn connect(endpoint: &Endpoint, transport: &Transport) -> io::Result<Connected> {
    let stream = reach(endpoint).await?;
    if !endpoint.tls {
        return match transport.protocol {
            Protocol::Http1 | Protocol::Auto => handshake(TokioIo::new(Line::new(stream))).await.map(Connected::Http1),
            Protocol::Http2 => {
                expect_acknowledgements(&stream)?;
                http2::handshake(TokioIo::new(stream)).await.map(Connected::Http2)
            }
        };
    }
    let stream = secure(endpoint, transport, Line::new(stream), false).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    match (is_http2, transport.protocol) {
        (true, _) => {
            expect_acknowledgements(stream.get_ref().0.socket())?;
            http2::handshake(TokioIo::new(stream)).await.map(Connected::Http2)
        }
        (false, Protocol::Http2) => Err(io::Error::other("the endpoint does not offer HTTP/2")),
        (false, _) => handshake(TokioIo::new(stream)).await.map(Connected::Http1),
    }
}

/// Connects in HTTP/1.1, whatever the transport prefers.
pub async fn connect_http1(endpoint: &Endpoint, transport: &Transport) -> io::Result<SendRequest<Body>> {
    let stream = Line::new(reach(endpoint).await?);
    match endpoint.tls {
        false => handshake(TokioIo::new(stream)).await,
        true => handshake(TokioIo::new(secure(endpoint, transport, stream, true).await?)).await,
    }
}

/// Connects in HTTP/1.1 for a request that asks for another protocol.
pub async fn connect_to_upgrade(endpoint: &Endpoint, transport: &Transport) -> io::Result<SendRequest<Body>> {
    let stream = reach(endpoint).await?;
    match endpoint.tls {
        false => upgrade::handshake(TokioIo::new(stream)).await,
        true => upgrade::handshake(TokioIo::new(secure(endpoint, transport, stream, true).await?)).await,
    }
}

async fn reach(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let address = endpoint.address().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    let stream = TcpStream::connect(address).await?;
    // Small requests must not wait for the acknowledgement of those before them.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What many requests share must not be waited on for minutes when the other machine is gone.
fn expect_acknowledgements(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

/// Speaks TLS on a connection; `http1_only` offers nothing else by ALPN.
pub(super) async fn secure<IO: AsyncRead + AsyncWrite + Unpin>(
    endpoint: &Endpoint,
    transport: &Transport,
    stream: IO,
    http1_only: bool,
) -> io::Result<TlsStream<IO>> {
    let (config, name) = transport.tls(http1_only).ok_or_else(|| io::Error::other("the upstream has no TLS"))?;
    let name = match name {
        Some(name) => name.clone(),
        None => ServerName::try_from(endpoint.host.to_string()).map_err(io::Error::other)?,
    };
    TlsConnector::from(config.clone()).connect(name, stream).await
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
