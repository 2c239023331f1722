//! HTTP calls that plugins make: each a task on the worker that runs the plugin, through the same upstreams,
//! connections and time-outs as proxied requests. [`send_once`] serves mirrors too.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::HOST;
use http::{HeaderValue, Request};
use tokio::sync::mpsc;

use crate::body::{Body, BodyError};
use crate::plugin::capability::http::{Fetch, FetchError, Fetched, Job};
use crate::server::hop_by_hop;
use crate::telemetry::traces::Hop;
use crate::telemetry::traces::context::Context;
use crate::upstream::{Admission, Asked, Endpoint, Errand, InFlight, Keys, SendError, Sent, Upstream};
use crate::worker::Worker;

mod relay;

/// Takes calls until the worker ends.
pub async fn serve(worker: Rc<Worker>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        let worker = Rc::clone(&worker);
        match job {
            Job::Fetch(fetch) => drop(tokio::task::spawn_local(run(worker, fetch))),
            Job::Relay(request) => drop(tokio::task::spawn_local(relay::run(worker, request))),
        }
    }
}

/// Makes the call, unless the guest goes away first.
async fn run(worker: Rc<Worker>, mut job: Fetch) {
    let (answer, _) = tokio::sync::oneshot::channel();
    let mut waiting = std::mem::replace(&mut job.answer, answer);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(job.timeout, call(&worker, job)) => outcome.unwrap_or(Err(FetchError::Timeout)),
        () = waiting.closed() => return,
    };
    // A guest that went away just now does not want it any more.
    let _ = waiting.send(outcome);
}

async fn call(worker: &Rc<Worker>, job: Fetch) -> Result<Fetched, FetchError> {
    let view = worker.view();
    let upstream = view.snapshot.upstreams.get(job.upstream.as_str()).ok_or(FetchError::Denied)?;
    let began = Instant::now();
    let admission = upstream.admit(began).map_err(|_| FetchError::Unreachable)?;
    let mut endpoint = upstream.pick(&asked(&job, began)).ok_or(FetchError::Unreachable)?;
    let max_body = job.max_body;
    let Sent { response, passage } = send(worker, upstream, &admission, &mut endpoint, job, began).await.map_err(failed)?;
    let (mut head, body) = response.into_parts();
    hop_by_hop::strip(&mut head.headers);
    let body = body.collect(max_body).await;
    if !head.status.is_server_error() {
        upstream.learn_body(&endpoint, &passage, Instant::now());
    }
    let body = body.map_err(from_body)?;
    Ok(Fetched { status: head.status, headers: head.headers, body })
}

/// A plugin's call is nobody's: it goes by what it carries itself.
fn asked(job: &Fetch, now: Instant) -> Asked<'_> {
    Asked { now, tried: &[], keys: Keys { headers: &job.headers, path: Some(&job.path), caller: None, address: None } }
}

/// What is counted of a request that has no log.
type Counts = (Cell<u32>, Cell<Duration>);

async fn send(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    admission: &Admission,
    endpoint: &mut InFlight,
    job: Fetch,
    began: Instant,
) -> Result<Sent, SendError> {
    let (counts, trace, limit) = (Counts::default(), job.trace, job.timeout);
    let mut request = request(job, endpoint);
    let mut errand = errand(worker, upstream, admission, began, &counts);
    errand.retry = upstream.retry.as_ref();
    errand.timeouts.request = Some(errand.timeouts.request.map_or(limit, |request| request.min(limit)));
    errand.tries = trace.and_then(|trace| worker.traces.fetch(trace, hop(upstream, endpoint), &mut request, began));
    errand.send(endpoint, Box::new(request)).await
}

/// Sends a request that no client waits for, and does so once. Counts, and the balancer of the upstream, learn what came of
/// it.
///
/// # Errors
/// When there is no answer.
pub async fn send_once(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    admission: &Admission,
    endpoint: &mut InFlight,
    mut request: Request<Body>,
    trace: Option<Context>,
    began: Instant,
) -> Result<Sent, SendError> {
    let counts = Counts::default();
    let mut errand = errand(worker, upstream, admission, began, &counts);
    errand.tries = trace.and_then(|trace| worker.traces.fetch(trace, hop(upstream, endpoint), &mut request, began));
    errand.send(endpoint, Box::new(request)).await
}

fn errand<'a>(
    worker: &'a Worker,
    upstream: &'a Upstream,
    admission: &'a Admission,
    began: Instant,
    (attempts, took): &'a Counts,
) -> Errand<'a> {
    Errand {
        upstream,
        admission,
        retry: None,
        connections: &worker.connections,
        metrics: &worker.metrics,
        timeouts: upstream.timeouts,
        tries: None,
        uploading: None,
        caller: None,
        address: None,
        is_upgrade: false,
        is_clients_fault: &|| false,
        is_fresh: Cell::default(),
        attempts,
        began,
        took,
    }
}

fn hop<'a>(upstream: &'a Upstream, endpoint: &'a Endpoint) -> Hop<'a> {
    Hop { upstream: &upstream.name, authority: &endpoint.authority, tls: endpoint.tls }
}

fn failed(error: SendError) -> FetchError {
    match error {
        SendError::Connect(_) | SendError::NoToken(_) | SendError::NoRoom(_) => FetchError::Unreachable,
        SendError::Timeout(_) => FetchError::Timeout,
        SendError::Broken(_) | SendError::Refused(_) => FetchError::Reset,
    }
}

fn request(job: Fetch, endpoint: &Endpoint) -> Request<Body> {
    let mut request = Request::new(Body::from(job.body));
    *request.method_mut() = job.method;
    *request.uri_mut() = job.path.into();
    *request.headers_mut() = job.headers;
    if !request.headers().contains_key(HOST) {
        if let Ok(host) = HeaderValue::from_str(&endpoint.authority) {
            request.headers_mut().insert(HOST, host);
        }
    }
    request
}

fn from_body(error: BodyError) -> FetchError {
    match error {
        BodyError::TooLarge(_) => FetchError::TooLarge,
        BodyError::Stalled(_) | BodyError::Late => FetchError::Timeout,
        BodyError::Cut | BodyError::Broken | BodyError::Plugin | BodyError::Answered => FetchError::Reset,
    }
}
