//! A well-behaved HTTP/2 client, with prior knowledge or over a stream that negotiated it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request as Head};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::{
    response::Response,
    wire::{Stream, soon},
};

/// One HTTP/2 connection.
pub struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    /// Connects without TLS.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the gateway listens")).await
    }

    /// Speaks over a stream that is there already.
    ///
    /// # Panics
    /// When the gateway does not speak HTTP/2.
    pub async fn over(stream: impl Stream + 'static) -> Self {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = soon("the settings of HTTP/2", handshake).await.expect("the gateway speaks HTTP/2");
        Self { sender, connection: tokio::spawn(connection) }
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Panics
    /// When none comes.
    pub async fn ask(&self, head: Head<()>, body: impl Into<Bytes>) -> Response {
        self.try_ask(head, body).await.expect("the gateway answers")
    }

    /// Sends a GET to `http://test.example` and reads its whole answer.
    pub async fn get(&self, target: &str) -> Response {
        self.ask(head("GET", target), Bytes::new()).await
    }

    /// Sends a request that may not be answered.
    ///
    /// # Errors
    /// When the stream or the connection is broken off.
    pub async fn try_ask(&self, head: Head<()>, body: impl Into<Bytes>) -> hyper::Result<Response> {
        let mut sender = self.sender.clone();
        let request = head.map(|()| Full::new(body.into()));
        let answer = async move {
            sender.ready().await?;
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            Ok(written_out(parts.status.as_u16(), &parts.headers, body))
        };
        soon("an answer over HTTP/2", answer).await
    }

    /// Waits until the gateway has ended the connection, and says whether it did so in order.
    ///
    /// # Panics
    /// When it does not end it.
    pub async fn ended(self) -> bool {
        let Self { sender, connection } = self;
        let end = soon("the end of an HTTP/2 connection", connection).await;
        drop(sender);
        end.expect("the connection's task does not panic").is_ok()
    }

    /// Whether the gateway has said that it takes no more requests here.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// The head of a request to `http://test.example`.
///
/// # Panics
/// When the method or target is not one.
#[must_use]
pub fn head(method: &str, target: &str) -> Head<()> {
    let uri = format!("http://test.example{target}");
    Head::builder().method(method).uri(uri).body(()).expect("the test writes valid heads")
}

fn written_out(status: u16, headers: &HeaderMap, body: Vec<u8>) -> Response {
    let mut head = format!("HTTP/2 {status} \r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    Response { body, ..Response::from_head((head + "\r\n").as_bytes()) }
}
