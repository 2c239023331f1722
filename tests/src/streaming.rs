//! Upstreams and clients whose bodies go on until somebody breaks off, in either version of HTTP, in the clear or over TLS.

mod origin;

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::wire::soon;

pub use origin::StreamOrigin;

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A body that is made piece by piece.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A client with one connection, which closes when this is dropped.
pub struct StreamClient {
    sender: Sender,
    connection: JoinHandle<()>,
}

enum Sender {
    Http1(client::conn::http1::SendRequest<Body>),
    Http2(client::conn::http2::SendRequest<Body>),
}

/// What endless bodies are made of.
const PIECE: Bytes = Bytes::from_static(&[b'd'; 16 << 10]);

// === impl Version ===

impl Version {
    /// Both.
    pub const ALL: [Version; 2] = [Version::Http1, Version::Http2];

    /// Its name among the protocols of an upstream.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Version::Http1 => "http1",
            Version::Http2 => "h2",
        }
    }
}

// === impl StreamClient ===

impl StreamClient {
    /// Connects in the clear.
    ///
    /// # Panics
    /// When nobody listens, or does not speak that version.
    pub async fn connect(address: SocketAddr, version: Version) -> Self {
        let io = TokioIo::new(TcpStream::connect(address).await.expect("the gateway listens"));
        match version {
            Version::Http1 => {
                let (sender, connection) = client::conn::http1::handshake(io).await.expect("the gateway speaks HTTP/1.1");
                let connection = tokio::spawn(async move { drop(connection.await) });
                Self { sender: Sender::Http1(sender), connection }
            }
            Version::Http2 => {
                let handshake = client::conn::http2::handshake(TokioExecutor::new(), io);
                let (sender, connection) = soon("the settings of HTTP/2", handshake).await.expect("the gateway speaks HTTP/2");
                let connection = tokio::spawn(async move { drop(connection.await) });
                Self { sender: Sender::Http2(sender), connection }
            }
        }
    }

    /// Another one on the same connection, which closes with the first.
    ///
    /// # Panics
    /// In HTTP/1.1, where there is no such thing.
    #[must_use]
    pub fn sharing(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else { panic!("HTTP/1.1 has one request at a time") };
        Self { sender: Sender::Http2(sender.clone()), connection: tokio::spawn(async {}) }
    }

    /// Asks for something, and gives the head of the answer with the rest still to come.
    ///
    /// # Errors
    /// When there is no answer.
    ///
    /// # Panics
    /// When the target is none.
    pub async fn ask(&mut self, method: &str, target: &str, body: Body) -> hyper::Result<Response<Incoming>> {
        let request = Request::builder().method(method);
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.send_request(request.uri(target).header("host", "test.example").body(body).expect("a target")).await
            }
            Sender::Http2(sender) => {
                sender.send_request(request.uri(format!("http://test.example{target}")).body(body).expect("a target")).await
            }
        }
    }
}

impl Drop for StreamClient {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// No body.
#[must_use]
pub fn nothing() -> Body {
    text(Bytes::new())
}

/// A body of which the end never comes.
#[must_use]
pub fn unfinished() -> Body {
    begun("begin", std::future::pending())
}

/// A body of so many bytes.
#[must_use]
pub fn of_length(length: u64) -> Body {
    let pieces = stream::unfold(length, |left| async move {
        let length = left.min(PIECE.len() as u64);
        (length > 0).then(|| (Ok(Frame::data(PIECE.slice(..length as usize))), left - length))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

/// A body that ends with a trailer.
#[must_use]
pub fn ending_with(trailer: &'static str, value: &'static str) -> Body {
    let trailers = [(HeaderName::from_static(trailer), HeaderValue::from_static(value))].into_iter().collect();
    let body = Full::new(Bytes::from_static(b"before it")).map_err(|never| match never {});
    BodyExt::boxed_unsync(body.with_trailers(std::future::ready(Some(Ok(trailers)))))
}

/// A body that says something, and ends as `then` does.
fn begun(text: &'static str, then: impl Future<Output = io::Error> + Send + 'static) -> Body {
    let pieces = stream::unfold((Some(text), Box::pin(then)), |(text, mut then)| async move {
        match text {
            Some(text) => Some((Ok(Frame::data(Bytes::from_static(text.as_bytes()))), (None, then))),
            None => Some((Err(then.as_mut().await), (None, then))),
        }
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

async fn cut() -> io::Error {
    tokio::time::sleep(Duration::from_millis(50)).await;
    io::Error::other("cut")
}

fn text(text: impl Into<Bytes>) -> Body {
    BodyExt::boxed_unsync(Full::new(text.into()).map_err(|never| match never {}))
}
