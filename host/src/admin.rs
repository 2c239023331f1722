//! The admin API: its listener, and the way of a request to its operation. Each resource is a file of its own below,
//! and a line in [`operations`]. How the gateway is changed is not here: `gateway` does it, one change after the other.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::gateway::apply::Changer;
use crate::gateway::resources::Resources;
use crate::server::tls::Tls;
use crate::snapshot::{Builder, Snapshot};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::worker::Pinned;

pub mod audit;
pub mod change;
pub mod client;
pub mod config;
pub mod content;
pub mod endpoints;
pub mod keys;
pub mod openapi;
pub mod operation;
pub mod plugins;
pub mod probes;
pub mod problem;
pub mod readiness;
pub mod refusals;
pub mod resources;
pub mod revisions;
pub mod scope;
pub mod status;
pub mod tokens;

use content::NoQuery;
use operation::{Asked, Operation};
use problem::Problem;
use readiness::Readiness;
use refusals::{Attempt, Refusals};
use tokens::{Token, Tokens};

/// How long a client may take for the head of a request, and for a handshake.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Connections at a time; more wait until one of these ends.
const CONNECTIONS: usize = 1024;

/// What the operations work with.
pub struct Admin {
    /// Whether requests should be sent here.
    pub readiness: Arc<Readiness>,
    /// All counts.
    pub metrics: Metrics,
    /// What is remembered.
    pub store: Arc<Store>,
    /// What files declare and this API made.
    pub resources: Arc<Resources>,
    /// Changes what this API made.
    pub changer: Changer,
    /// Who may ask.
    pub tokens: Tokens,
    /// The configuration that serves.
    pub current: Arc<ArcSwap<Snapshot>>,
    /// Which revision each worker has in hand.
    pub workers: Arc<[Pinned]>,
    /// What makes snapshots, and knows versions of plugins.
    pub builder: Arc<Builder>,
    /// Everything the API does.
    pub operations: Vec<Operation>,
    /// How the listener speaks TLS; None if it does not.
    pub tls: ArcSwapOption<Tls>,
    /// Which refused attempts go into the audit log.
    pub refusals: Refusals,
}

/// Everything the API does.
pub fn operations() -> Vec<Operation> {
    let all = [
        probes::operations(),
        status::operations(),
        openapi::operations(),
        plugins::operations(),
        resources::operations(),
        endpoints::operations(),
        keys::operations(),
        config::operations(),
        revisions::operations(),
        audit::operations(),
        tokens::operations(),
    ];
    all.into_iter().flatten().collect()
}

/// Runs what blocks on a thread where it may.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Problem::internal(format!("It broke off: {error}."))))
}

impl Admin {
    /// Takes new certificates. Whether there is TLS at all is settled when the gateway starts.
    pub fn renew(&self, tls: Option<Arc<Tls>>) {
        if tls.is_some() && self.tls.load().is_some() {
            self.tls.store(tls);
        }
    }

    /// Serves on a bound socket, for as long as the runtime lives.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let admin = Arc::clone(&self);
            tokio::spawn(async move {
                admin.serve_connection(stream, peer).await;
                drop(place);
            });
        }
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        match self.tls.load_full() {
            None => self.serve_stream(stream, peer).await,
            Some(tls) => match tokio::time::timeout(HEAD_TIME, tls.acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.serve_stream(stream, peer).await,
                Ok(Err(error)) => tracing::debug!(%error, %peer, "admin handshake failed"),
                Err(_) => tracing::debug!(%peer, "admin handshake took too long"),
            },
        }
    }

    async fn serve_stream(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: SocketAddr) {
        let service = service_fn(move |request| {
            let admin = Arc::clone(&self);
            async move { Ok::<_, Infallible>(admin.answer(request, peer).await) }
        });
        let served =
            http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).serve_connection(TokioIo::new(stream), service);
        if let Err(error) = served.await {
            tracing::debug!(%error, %peer, "admin connection ended");
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let attempt = Attempt::of(&request, peer);
        let (token, response) = self.respond(request).await;
        if let Some(attempt) = attempt.filter(|_| refusals::is_refusal(response.status())) {
            self.list_refusal(attempt, token.as_deref(), response.status()).await;
        }
        response
    }

    /// The answer, and who gets it where a token says so.
    async fn respond(self: &Arc<Self>, request: Request<Incoming>) -> (Option<Arc<Token>>, Response<Full<Bytes>>) {
        let (operation, parameters) = match self.find(request.method(), request.uri().path()) {
            Ok(found) => found,
            Err(problem) => return (None, problem.into_response()),
        };
        let token = match operation.scope.map(|scope| (scope, self.tokens.find(request.headers(), SystemTime::now()))) {
            None => None,
            Some((_, Err(problem))) => return (None, problem.into_response()),
            Some((scope, Ok(token))) if !token.may(scope) => return (Some(token), Problem::forbidden(scope.name()).into_response()),
            Some((_, Ok(token))) => Some(token),
        };
        let (head, body) = request.into_parts();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let (admin, by) = (Arc::clone(self), token.clone());
        let asked = Asked { admin, token, parameters, query, headers: head.headers, body, limit: operation.limit };
        (by, operation.run(asked).await)
    }

    /// The operation for a method and a path, with the parameters in the path.
    fn find(&self, method: &Method, path: &str) -> Result<(&Operation, Vec<String>), Problem> {
        // A HEAD is a GET whose body is not sent.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let mut allowed = Vec::new();
        for operation in &self.operations {
            let Some(parameters) = operation.parameters(path) else { continue };
            if operation.method == *method {
                return Ok((operation, parameters));
            }
            allowed.push(operation.method.as_str());
        }
        if allowed.is_empty() {
            return Err(Problem::not_found("There is nothing here. `/v1/openapi.json` says what there is."));
        }
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        Err(Problem::method_not_allowed(&allowed.join(", ")))
    }
}
