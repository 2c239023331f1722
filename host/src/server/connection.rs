//! One client's connection: TLS, the protocol, and hyper's loop around [`request::serve`], until it ends or the gateway
//! drains.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::worker::Worker;

use super::forwarded::Forwarding;
use super::head_guard::{self, Admission, GuardHandle, HeadGuard, Protocol, Violation};
use super::{Listener, request};

/// Requests that one HTTP/2 client may have under way.
const MAX_STREAMS: u32 = 200;
/// What HTTP/1 may buffer of a head and a body; a head may be as large as the listener allows.
const HTTP1_BUFFER: usize = 64 << 10;

/// A client's connection, as its requests see it.
pub struct Connection {
    /// The worker it lives on.
    pub worker: Rc<Worker>,
    /// The listener it came in by, as it was then.
    pub listener: Arc<Listener>,
    /// The other end: the client, or a proxy before us.
    pub peer: SocketAddr,
    /// Whether it is TLS.
    pub secure: bool,
    /// What upstreams are told about it.
    pub forwarding: RefCell<Forwarding>,
    /// Knows which HTTP/1 heads were refused.
    guard: Option<GuardHandle>,
}

impl Connection {
    /// Admits the next request. To be called once for each, first thing.
    pub fn admit(&self) -> Result<Option<Admission>, Violation> {
        self.guard.as_ref().map(GuardHandle::admit).transpose()
    }

    /// Why a request body's framing is wrong.
    pub fn body_violation(&self) -> Option<Violation> {
        self.guard.as_ref().and_then(GuardHandle::body_violation)
    }
}

/// Serves a connection on a task of its own.
pub fn spawn(worker: &Rc<Worker>, listener: &Arc<str>, stream: TcpStream, peer: SocketAddr) {
    // A listener that a reload has just removed takes no new connections.
    let Some(listener) = worker.view().snapshot.listeners.get(listener).cloned() else { return };
    let worker = Rc::clone(worker);
    let live = worker.count_connection();
    tokio::task::spawn_local(async move {
        if let Err(error) = serve(worker, listener, stream, peer).await {
            tracing::debug!(%error, %peer, "connection ended");
        }
        drop(live);
    });
}

type Failure = Box<dyn std::error::Error>;

async fn serve(worker: Rc<Worker>, listener: Arc<Listener>, stream: TcpStream, peer: SocketAddr) -> Result<(), Failure> {
    // A response's last segment must not wait for the acknowledgement of those before it.
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let new = New { worker, listener, local, peer };
    match new.listener.tls.clone() {
        None => serve_plain(new, stream).await,
        Some(acceptor) => {
            let handshake = tokio::time::timeout(new.listener.heads.head_time, acceptor.accept(stream));
            let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            match is_http2 {
                true => serve_http2(new, TokioIo::new(stream), true).await,
                false => serve_http1(new, TokioIo::new(stream), true).await,
            }
        }
    }
}

async fn serve_plain(new: New, stream: TcpStream) -> Result<(), Failure> {
    if !new.listener.http2 {
        return serve_http1(new, TokioIo::new(stream), false).await;
    }
    let worker = Rc::clone(&new.worker);
    let sniffed = tokio::select! {
        sniffed = head_guard::sniff(TokioIo::new(stream), new.listener.heads.idle_time) => sniffed,
        // A connection that has not said anything yet has nothing to lose.
        () = worker.closing() => return Ok(()),
    };
    // A client that leaves without a word, or never says one, is nobody's failure.
    let Ok((protocol, io)) = sniffed else { return Ok(()) };
    match protocol {
        Protocol::Http1 => serve_http1(new, io, false).await,
        Protocol::Http2 => serve_http2(new, io, false).await,
    }
}

/// A connection before its protocol is known.
struct New {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    local: SocketAddr,
    peer: SocketAddr,
}

impl New {
    fn connection(self, secure: bool, guard: Option<GuardHandle>) -> Rc<Connection> {
        let listener = &self.listener;
        let forwarding = Forwarding::new(self.peer, self.local, secure, Arc::clone(&listener.trusted_proxies), listener.pseudonym.clone());
        Rc::new(Connection {
            worker: self.worker,
            listener: self.listener,
            peer: self.peer,
            secure,
            forwarding: RefCell::new(forwarding),
            guard,
        })
    }
}

async fn serve_http1(new: New, io: impl Read + Write + Unpin + 'static, secure: bool) -> Result<(), Failure> {
    let limits = new.listener.heads;
    let (io, guard) = HeadGuard::new(io, limits);
    let connection = new.connection(secure, Some(guard));
    let worker = Rc::clone(&connection.worker);
    let service = service_fn(move |request| answer(Rc::clone(&connection), request));
    let mut builder = http1::Builder::new();
    // The guard has the clock for heads, and the idle one.
    builder.header_read_timeout(None).max_buf_size(HTTP1_BUFFER.max(2 * limits.head)).half_close(false);
    if limits.headers > 100 {
        builder.max_headers(limits.headers);
    }
    let mut serving = pin!(builder.serve_connection(io, service));
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = worker.closing() => serving.as_mut().graceful_shutdown(),
    }
    Ok(serving.await?)
}

async fn serve_http2(new: New, io: impl Read + Write + Unpin + 'static, secure: bool) -> Result<(), Failure> {
    let limits = new.listener.heads;
    let connection = new.connection(secure, None);
    let worker = Rc::clone(&connection.worker);
    let service = service_fn(move |request| answer(Rc::clone(&connection), request));
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(limits.head.try_into().unwrap_or(u32::MAX))
        // A peer that is silently gone is noticed, and its streams with it.
        .keep_alive_interval(limits.idle_time)
        .adaptive_window(true);
    let mut serving = pin!(builder.serve_connection(io, service));
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = worker.closing() => serving.as_mut().graceful_shutdown(),
    }
    Ok(serving.await?)
}

async fn answer(
    connection: Rc<Connection>,
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<super::Answer>, Infallible> {
    Ok(request::serve(connection, request).await)
}

/// Runs HTTP/2 streams on the worker's own thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}
