//! Requests that components of `wasi:http` send: through the upstreams they were granted, with bodies that pass as they
//! come.
//!
//! A request names its upstream by the host in its address: either the upstream's name, or host and port of one of the
//! upstream's endpoints. The balancer picks the endpoint in both cases.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};

use super::{Counts, errand, failed, hop};
use crate::body::Body;
use crate::plugin::HttpGrant;
use crate::plugin::capability::http::FetchError;
use crate::plugin::wasi_http::WasiBody;
use crate::plugin::wasi_http::body::{Outward, inward};
use crate::plugin::wasi_http::outgoing::Relay;
use crate::server::hop_by_hop;
use crate::snapshot::Snapshot;
use crate::upstream::{Admission, Asked, InFlight, Keys, SendError, Sent, Upstream};
use crate::worker::Worker;

/// Sends the request, unless the guest goes away first.
pub async fn run(worker: Rc<Worker>, mut job: Relay) {
    let (answer, _) = tokio::sync::oneshot::channel();
    let mut waiting = std::mem::replace(&mut job.answer, answer);
    let outcome = tokio::select! {
        // Before all else: what a guest that is gone was sending looks complete.
        biased;
        () = waiting.closed() => return,
        outcome = tokio::time::timeout(job.timeout, relay(&worker, job)) => outcome.unwrap_or(Err(FetchError::Timeout)),
    };
    // A guest that went away just now does not want it any more.
    let _ = waiting.send(outcome);
}

async fn relay(worker: &Rc<Worker>, job: Relay) -> Result<Response<WasiBody>, FetchError> {
    let view = worker.view();
    let target = Target::find(&view.snapshot, &job.grants.http, job.request.uri())?;
    let began = Instant::now();
    let admission = target.upstream.admit(began).map_err(|_| FetchError::Unreachable)?;
    let mut endpoint = target.upstream.pick(&asked(&job.request, began)).ok_or(FetchError::Unreachable)?;
    let sent = send(worker, &target, &admission, &mut endpoint, job, began).await.map_err(failed)?;
    let (mut head, body) = sent.response.into_parts();
    hop_by_hop::strip(&mut head.headers);
    // The endpoint is busy with it until the body has passed.
    Ok(Response::from_parts(head, inward(body, (admission, endpoint))))
}

fn asked<B>(request: &Request<B>, now: Instant) -> Asked<'_> {
    Asked { now, tried: &[], keys: Keys { headers: request.headers(), path: request.uri().path_and_query(), caller: None, address: None } }
}

async fn send(
    worker: &Rc<Worker>,
    target: &Target<'_>,
    admission: &Admission,
    endpoint: &mut InFlight,
    job: Relay,
    began: Instant,
) -> Result<Sent, SendError> {
    let (counts, trace, limit) = (Counts::default(), job.trace, job.timeout);
    let mut request = Box::new(request(job, target, &endpoint.authority));
    let mut errand = errand(worker, target.upstream, admission, began, &counts);
    errand.timeouts.request = Some(errand.timeouts.request.map_or(limit, |request| request.min(limit)));
    errand.tries = trace.and_then(|trace| worker.traces.fetch(trace, hop(target.upstream, endpoint), &mut request, began));
    errand.send(endpoint, request).await
}

/// What goes to the endpoint of what the guest wrote.
fn request(job: Relay, target: &Target<'_>, authority: &str) -> Request<Body> {
    let (mut head, body) = job.request.into_parts();
    hop_by_hop::strip(&mut head.headers);
    let length = length(&head.headers);
    let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = path.into();
    if target.by_name {
        // The name means something here alone.
        head.headers.remove(HOST);
    }
    if let Ok(host) = HeaderValue::from_str(authority) {
        head.headers.entry(HOST).or_insert(host);
    }
    let body = Outward::new(body, job.fate, Some(job.timeout), length, None);
    Request::from_parts(head, if http_body::Body::is_end_stream(&body) { Body::Empty } else { body })
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Where a request goes.
struct Target<'a> {
    upstream: &'a Arc<Upstream>,
    /// Whether the address has the upstream's name instead of a host.
    by_name: bool,
}

impl<'a> Target<'a> {
    fn find(snapshot: &'a Snapshot, grant: &HttpGrant, uri: &Uri) -> Result<Self, FetchError> {
        let authority = uri.authority().ok_or(FetchError::Denied)?;
        if let Some(upstream) = snapshot.upstreams.get(authority.host()).filter(|upstream| grant.allows(&upstream.name)) {
            return Ok(Self { upstream, by_name: true });
        }
        let tls = uri.scheme_str() == Some("https");
        let mut granted = snapshot.upstreams.values().filter(|upstream| grant.allows(&upstream.name));
        let upstream = granted.find(|upstream| is_at(upstream, authority, tls)).ok_or(FetchError::Denied)?;
        Ok(Self { upstream, by_name: false })
    }
}

/// Whether one of the upstream's endpoints has that address.
fn is_at(upstream: &Upstream, wanted: &Authority, tls: bool) -> bool {
    upstream.balancer.set().all().any(|endpoint| {
        let at = |authority: &Authority| authority.host().eq_ignore_ascii_case(wanted.host()) && port(authority, tls) == port(wanted, tls);
        endpoint.origin.tls == tls && endpoint.origin.authority.parse().is_ok_and(|authority| at(&authority))
    })
}

fn port(authority: &Authority, tls: bool) -> u16 {
    authority.port_u16().unwrap_or(if tls { 443 } else { 80 })
}
