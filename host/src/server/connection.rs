//! One client's connection: TLS, the protocol, and hyper's loop around [`request::serve`], until it ends or the gateway
//! drains.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::{self, pin};
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::upstream::executor::LocalExecutor;
use crate::worker::Worker;

use super::forwarded::Forwarding;
use super::head_guard::{self, Admission, GuardHandle, HeadGuard, Protocol, Violation};
use super::upgrade::Tunnel;
use super::{Listener, client_certificate, forwarded, proxy_protocol, request};

/// Requests that one HTTP/2 client may have under way.
const MAX_STREAMS: u32 = 200;
/// Bytes of one body that are taken before its upstream has taken them.
const STREAM_WINDOW: u32 = 256 << 10;
/// Room for all streams: an upload to an upstream that does not read must not hold up the others on the connection.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;
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
    /// What upstreams and plugins are told of the client's certificate, where one was verified.
    pub client_certificate: Option<HeaderValue>,
    /// What becomes of it when it stops speaking HTTP/1.
    pub tunnel: RefCell<Option<Box<Tunnel>>>,
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

async fn serve(worker: Rc<Worker>, listener: Arc<Listener>, mut stream: TcpStream, peer: SocketAddr) -> Result<(), Failure> {
    // A response's last segment must not wait for the acknowledgement of those before it.
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let mut new = New { worker, listener, local, peer, client_certificate: None };
    if new.listener.proxy_protocol {
        new.introduce(&mut stream).await?;
    }
    match &new.listener.tls {
        None => serve_plain(new, stream).await,
        Some(tls) => {
            let handshake = tokio::time::timeout(new.listener.heads.head_time, tls.acceptor.accept(stream));
            let stream = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            let session = stream.get_ref().1;
            let is_http2 = session.alpn_protocol() == Some(b"h2");
            let certificate = session.peer_certificates().filter(|_| tls.verifies_clients).and_then(<[_]>::first);
            new.client_certificate = certificate.map(client_certificate::describe);
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
    client_certificate: Option<HeaderValue>,
}

impl New {
    /// Lets a trusted proxy say whose connection this is; nobody else is believed, nor expected to say so.
    async fn introduce(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if !forwarded::contains(&self.listener.trusted_proxies, self.peer.ip().to_canonical()) {
            return Ok(());
        }
        let header = tokio::time::timeout(self.listener.heads.head_time, proxy_protocol::read(stream));
        if let Some(ends) = header.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
            (self.peer, self.local) = (ends.client, ends.local);
        }
        Ok(())
    }

    fn connection(self, secure: bool, guard: Option<GuardHandle>) -> Rc<Connection> {
        let listener = &self.listener;
        let forwarding = Forwarding::new(self.peer, self.local, secure, Arc::clone(&listener.trusted_proxies), listener.pseudonym.clone());
        Rc::new(Connection {
            worker: self.worker,
            listener: self.listener,
            peer: self.peer,
            secure,
            forwarding: RefCell::new(forwarding),
            tunnel: RefCell::default(),
            client_certificate: self.client_certificate,
            guard,
        })
    }
}

async fn serve_http1(new: New, io: impl Read + Write + Unpin + 'static, secure: bool) -> Result<(), Failure> {
    let limits = new.listener.heads;
    let (io, guard) = HeadGuard::new(io, limits);
    let connection = new.connection(secure, Some(guard));
    let serving = Rc::clone(&connection);
    let service = service_fn(move |request| request::serve(Rc::clone(&serving), request));
    let mut builder = http1::Builder::new();
    // The guard has the clock for heads, and the idle one.
    builder.header_read_timeout(None).max_buf_size(HTTP1_BUFFER.max(2 * limits.head)).half_close(false);
    if limits.headers > 100 {
        builder.max_headers(limits.headers);
    }
    let mut serving = builder.serve_connection(io, service);
    tokio::select! {
        ended = &mut serving => ended?,
        () = connection.worker.closing() => {
            pin::Pin::new(&mut serving).graceful_shutdown();
            (&mut serving).await?;
        }
    }
    let tunnel = connection.tunnel.take();
    if let Some(tunnel) = tunnel {
        let parts = serving.into_parts();
        tunnel.run(TokioIo::new(parts.io), parts.read_buf).await;
    }
    Ok(())
}

async fn serve_http2(new: New, io: impl Read + Write + Unpin + 'static, secure: bool) -> Result<(), Failure> {
    let limits = new.listener.heads;
    let connection = new.connection(secure, None);
    let worker = Rc::clone(&connection.worker);
    let service = service_fn(move |request| request::serve(Rc::clone(&connection), request));
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(limits.head.try_into().unwrap_or(u32::MAX))
        // A peer that is silently gone is noticed, and its streams with it.
        .keep_alive_interval(limits.idle_time)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    if worker.view().snapshot.allows_upgrades {
        builder.enable_connect_protocol();
    }
    let mut serving = pin!(builder.serve_connection(io, service));
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = worker.closing() => serving.as_mut().graceful_shutdown(),
    }
    Ok(serving.await?)
}
