//! Upstream servers that speak HTTP/2: well-behaved ones that do as scripted, in the clear or over TLS.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use crate::wire::Stream;

/// A server of HTTP/2 on a port of its own.
pub struct Http2Origin {
    address: SocketAddr,
    seen: Arc<Seen>,
    leave: watch::Sender<usize>,
    server: JoinHandle<()>,
}

/// How it answers.
#[derive(Clone)]
pub struct Script {
    /// Streams that it allows at a time; None for no limit.
    pub most_streams: Option<u32>,
    /// How long it takes.
    pub delay: Duration,
    /// TLS, where it speaks it.
    pub tls: Option<TlsAcceptor>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<(usize, Parts, Bytes)>>,
    most_together: AtomicUsize,
    deserted: AtomicUsize,
}

/// Counts a request that is not answered to its end.
struct Attending(Arc<Seen>, bool);

impl Default for Script {
    fn default() -> Self {
        Self { most_streams: None, delay: Duration::ZERO, tls: None }
    }
}

impl Http2Origin {
    /// Starts a server that says `through` to everything, as the script has it.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::<Seen>::default();
        let (leave, leaving) = watch::channel(0);
        let server = tokio::spawn(accept(listener, script, Arc::clone(&seen), leaving));
        Self { address, seen, leave, server }
    }

    /// Its address as an endpoint's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// The most requests that were under way on one connection.
    #[must_use]
    pub fn most_together(&self) -> usize {
        self.seen.most_together.load(Ordering::Relaxed)
    }

    /// How many requests were given up by the gateway before they were answered.
    #[must_use]
    pub fn deserted(&self) -> usize {
        self.seen.deserted.load(Ordering::Relaxed)
    }

    /// The requests so far: the number of the connection, head and body.
    ///
    /// # Panics
    /// Never: nobody panics with the list.
    #[must_use]
    pub fn requests(&self) -> Vec<(usize, Parts, Bytes)> {
        self.seen.requests.lock().expect("nobody panics with the list").clone()
    }

    /// Says GOAWAY on every connection; requests under way are answered.
    pub fn say_goodbye(&self) {
        self.leave.send_modify(|times| *times += 1);
    }
}

impl Drop for Http2Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, script: Script, seen: Arc<Seen>, leaving: watch::Receiver<usize>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        let number = seen.connections.fetch_add(1, Ordering::Relaxed);
        let (script, seen, leaving) = (script.clone(), Arc::clone(&seen), leaving.clone());
        tokio::spawn(async move {
            match script.tls.clone() {
                None => serve(stream, number, script, seen, leaving).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, number, script, seen, leaving).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl Stream + 'static, number: usize, script: Script, seen: Arc<Seen>, mut leaving: watch::Receiver<usize>) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(script.most_streams);
    let together = Arc::new(AtomicUsize::new(0));
    let service = service_fn(move |request| answer(request, number, script.clone(), Arc::clone(&seen), Arc::clone(&together)));
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    leaving.mark_unchanged();
    tokio::select! {
        _ = &mut serving => return,
        _ = leaving.changed() => serving.as_mut().graceful_shutdown(),
    }
    serving.await.ok();
}

async fn answer(
    request: http::Request<Incoming>,
    number: usize,
    script: Script,
    seen: Arc<Seen>,
    together: Arc<AtomicUsize>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut attending = Attending(Arc::clone(&seen), false);
    let now = together.fetch_add(1, Ordering::Relaxed) + 1;
    seen.most_together.fetch_max(now, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    seen.requests.lock().expect("nobody panics with the list").push((number, parts, body));
    tokio::time::sleep(script.delay).await;
    together.fetch_sub(1, Ordering::Relaxed);
    attending.1 = true;
    Ok(Response::new(Full::new(Bytes::from_static(b"through"))))
}

impl Drop for Attending {
    fn drop(&mut self) {
        if !self.1 {
            self.0.deserted.fetch_add(1, Ordering::Relaxed);
        }
    }
}
