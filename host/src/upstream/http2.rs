//! HTTP/2 to endpoints: a connection that many requests share, the streams they take of it, and a request as it stands
//! in one. Which connection a request gets is decided in `connections`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioTimer;

use crate::body::Body;

use super::Endpoint;
use super::executor::LocalExecutor;

/// Streams on one connection, where the endpoint would take more.
const MOST_STREAMS: usize = 1_000;
/// Bytes of one answer that are taken before its client has taken them.
const STREAM_WINDOW: u32 = 256 << 10;
/// Room for all streams: clients that do not read must not hold up the others on the connection. h2 also goes by it when
/// it decides how many small frames, such as messages of gRPC, are too many.
const CONNECTION_WINDOW: u32 = MOST_STREAMS as u32 * STREAM_WINDOW;
/// Bytes of the head of an answer, as much as is taken in HTTP/1.1.
const LARGEST_HEAD: u32 = 64 << 10;
/// A connection with requests on it is asked for a sign of life this often. Servers of gRPC end one that asks them more
/// than every five minutes.
const PING: Duration = Duration::from_secs(310);
/// How long the sign may take.
const PONG: Duration = Duration::from_secs(15);
/// The endpoint's limits are looked for this often on a new connection: hyper tells nobody when they are there.
const LIMITS: Duration = Duration::from_millis(1);

/// A connection that requests share.
pub struct Http2 {
    sender: SendRequest<Body>,
    limits: Rc<dyn Limits>,
    usage: Rc<Use>,
}

/// How a connection is used.
struct Use {
    open: Cell<usize>,
    /// When the last stream ended.
    since: Cell<Instant>,
}

/// The right to one stream of a connection. It lasts until the answer has ended.
pub struct Stream {
    sender: SendRequest<Body>,
    open: Open,
}

/// A stream that counts.
pub struct Open(Rc<Use>);

/// Why a request was not answered.
pub struct Failed {
    /// What hyper said.
    pub error: hyper::Error,
    /// The request, if nothing of it was sent.
    pub unsent: Option<Request<Body>>,
}

/// What the endpoint allows on a connection.
trait Limits {
    /// Streams at a time; zero before the endpoint has spoken.
    fn streams(&self) -> usize;
}

/// hyper's end of a connection, until it is over: what still waits in it is given back only when it is dropped.
struct Driven<IO: Read + Write + Unpin + 'static>(RefCell<Option<Connection<IO, Body, LocalExecutor>>>);

impl<IO: Read + Write + Unpin + 'static> Limits for Driven<IO> {
    fn streams(&self) -> usize {
        // Borrowed only while the connection itself runs, which asks nothing of this.
        self.0.try_borrow().map_or(0, |connection| connection.as_ref().map_or(0, Connection::current_max_send_streams))
    }
}

impl<IO: Read + Write + Unpin + 'static> Driven<IO> {
    async fn drive(&self) -> hyper::Result<()> {
        let ended = poll_fn(|context| match self.0.borrow_mut().as_mut() {
            Some(connection) => Pin::new(connection).poll(context),
            None => Poll::Ready(Ok(())),
        });
        let ended = ended.await;
        drop(self.0.take());
        ended
    }
}

/// Speaks HTTP/2 on a new connection, and waits for what the endpoint allows on it.
pub async fn handshake(io: impl Read + Write + Unpin + 'static) -> io::Result<Http2> {
    let mut builder = Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(LARGEST_HEAD)
        // None before the endpoint has said how many it takes: those above its limit would be refused.
        .initial_max_send_streams(0);
    let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
    let driven = Rc::new(Driven(RefCell::new(Some(connection))));
    let limits = Rc::clone(&driven);
    tokio::task::spawn_local(async move {
        if let Err(error) = driven.drive().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    let usage = Rc::new(Use { open: Cell::new(0), since: Cell::new(Instant::now()) });
    let http2 = Http2 { sender, limits, usage };
    while http2.limits.streams() == 0 {
        if http2.is_closed() {
            return Err(io::Error::other("the endpoint does not speak HTTP/2"));
        }
        tokio::time::sleep(LIMITS).await;
    }
    Ok(http2)
}

// === impl Http2 ===

impl Http2 {
    /// A stream, if the endpoint takes one more here.
    pub fn open(&self) -> Option<Stream> {
        let most = self.limits.streams().min(MOST_STREAMS);
        if self.is_closed() || self.usage.open.get() >= most {
            return None;
        }
        self.usage.open.set(self.usage.open.get() + 1);
        Some(Stream { sender: self.sender.clone(), open: Open(Rc::clone(&self.usage)) })
    }

    /// Whether it takes no more requests.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it has had no request for so long.
    pub fn is_idle_for(&self, keep_alive: Duration) -> bool {
        self.usage.open.get() == 0 && self.usage.since.get().elapsed() >= keep_alive
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.since.set(Instant::now());
    }
}

// === impl Stream ===

impl Stream {
    /// Sends a request, prepared for HTTP/2. Dropping the future, or later the response, resets the stream.
    pub async fn send(mut self, request: Request<Body>) -> Result<(Response<Incoming>, Open), Failed> {
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok((response, self.open)),
            Err(mut failed) => {
                let unsent = failed.take_message();
                Err(Failed { error: failed.into_error(), unsent })
            }
        }
    }
}

impl Failed {
    /// Whether the endpoint says that it did nothing about the request (RFC 9113 §8.7): it refused the stream, or went
    /// away before it came to it.
    pub fn is_refused(&self) -> bool {
        let Some(error) = std::error::Error::source(&self.error).and_then(|source| source.downcast_ref::<h2::Error>()) else {
            return false;
        };
        error.is_remote() && (error.is_go_away() || error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM))
    }
}

/// Makes a request of HTTP/1.1 one of HTTP/2: the host becomes the authority, and nothing is said of the connection.
pub fn prepare<B>(request: &mut Request<B>, endpoint: &Endpoint) {
    if request.uri().authority().is_some() {
        return;
    }
    let host = request.headers_mut().remove(HOST);
    request.headers_mut().remove(CONNECTION);
    let authority = host.as_ref().and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let Some(authority) = authority.or_else(|| Authority::try_from(&*endpoint.authority).ok()) else { return };
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let scheme = if endpoint.tls { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    *request.uri_mut() = uri.expect("a scheme, an authority and a path are a URI");
}

/// Makes a request that was prepared one of HTTP/1.1 again: the endpoint has changed its mind about the version.
pub fn restore(request: &mut Request<Body>) {
    let Some(host) = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) else { return };
    request.headers_mut().insert(HOST, host);
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = path.into();
}
