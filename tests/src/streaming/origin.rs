//! A server whose answers go on, break off, or never come, as the path says.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, response::Builder};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::{Body, PIECE, Version, begun, cut, text};
use crate::wire::{Stream, eventually};

/// A server on a port of its own. What it does with a request is in the path:
///
/// | path | |
/// |---|---|
/// | `/wait` | never answers |
/// | `/upload` | reads the body, then says how long it was |
/// | `/download` | answers without an end |
/// | `/download?N` | answers with N bytes |
/// | `/events` | says one event, and nothing more |
/// | `/truncated` | breaks off inside a body without a length |
/// | `/truncated-length` | breaks off inside a body with a length |
/// | `/vanish` | closes the connection inside a body |
/// | else | says `fine` |
pub struct StreamOrigin {
    address: SocketAddr,
    seen: Arc<Seen>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    deserted: AtomicUsize,
    sent: AtomicU64,
}

/// Counts a request that did not come to its end.
struct Attending(Arc<Seen>, bool);

// === impl StreamOrigin ===

impl StreamOrigin {
    /// Starts it.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub async fn start(version: Version, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::<Seen>::default();
        let server = tokio::spawn(accept(listener, version, tls, Arc::clone(&seen)));
        Self { address, seen, server }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// How many requests have arrived.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// How many of them the gateway gave up.
    #[must_use]
    pub fn deserted(&self) -> usize {
        self.seen.deserted.load(Ordering::Relaxed)
    }

    /// How many bytes of endless bodies were taken.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::Relaxed)
    }

    /// Waits until so many requests have arrived.
    pub async fn wait_for_requests(&self, requests: usize) {
        eventually("requests at the upstream", || self.requests() >= requests).await;
    }

    /// Waits until so many of them were given up.
    pub async fn wait_until_deserted(&self, requests: usize) {
        eventually("the gateway to leave the upstream", || self.deserted() >= requests).await;
    }
}

impl Drop for StreamOrigin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, version: Version, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).ok();
        seen.connections.fetch_add(1, Ordering::Relaxed);
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, version, seen).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, version, seen).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl Stream + 'static, version: Version, seen: Arc<Seen>) {
    let vanish = Arc::<Notify>::default();
    let service = service_fn({
        let vanish = Arc::clone(&vanish);
        move |request| answer(request, Arc::clone(&seen), Arc::clone(&vanish))
    });
    let io = TokioIo::new(stream);
    let serving = async {
        match version {
            Version::Http1 => server::conn::http1::Builder::new().serve_connection(io, service).await,
            Version::Http2 => server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await,
        }
    };
    tokio::select! {
        // How it ended is for the gateway to tell.
        _ = serving => {}
        () = vanish.notified() => {}
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>, vanish: Arc<Notify>) -> Result<Response<Body>, Infallible> {
    seen.requests.fetch_add(1, Ordering::Relaxed);
    let mut attending = Attending(Arc::clone(&seen), false);
    let ok = Response::builder();
    let response = match request.uri().path() {
        "/wait" => std::future::pending().await,
        "/upload" => upload(request.into_body(), &mut attending).await,
        "/download" => match request.uri().query().and_then(|query| query.parse().ok()) {
            None => ok.body(download(u64::MAX, attending)),
            Some(length) => ok.header("content-length", length).body(download(length, attending)),
        },
        "/events" => ok.header("content-type", "text/event-stream").body(begun("data: one\n\n", async move {
            let _attending = attending;
            std::future::pending().await
        })),
        "/truncated" => ok.body(begun("half", cut())),
        "/truncated-length" => ok.header("content-length", 100).body(begun("half", cut())),
        "/vanish" => ok.body(begun("half", async move {
            // The half goes out first, and then there is no more.
            tokio::time::sleep(Duration::from_millis(50)).await;
            vanish.notify_one();
            std::future::pending().await
        })),
        _ => {
            attending.1 = true;
            ok.body(text("fine"))
        }
    };
    Ok(response.expect("the parts are valid"))
}

async fn upload(mut body: Incoming, attending: &mut Attending) -> http::Result<Response<Body>> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Builder::new().status(400).body(text("broken")) };
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    attending.1 = true;
    Response::builder().body(text(length.to_string()))
}

fn download(length: u64, attending: Attending) -> Body {
    let pieces = stream::unfold((length, attending), |(left, mut attending)| async move {
        let length = left.min(PIECE.len() as u64);
        attending.0.sent.fetch_add(length, Ordering::Relaxed);
        attending.1 = left == length;
        (length > 0).then(|| (Ok(Frame::data(PIECE.slice(..length as usize))), (left - length, attending)))
    });
    BodyExt::boxed_unsync(StreamBody::new(pieces))
}

impl Drop for Attending {
    fn drop(&mut self) {
        if !self.1 {
            self.0.deserted.fetch_add(1, Ordering::Relaxed);
        }
    }
}
