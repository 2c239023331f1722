//! Mirrors: copies of requests to another upstream, whose answers nobody reads. The client neither waits for a copy nor
//! hears of it; there is a limit on copies, and one on what they carry.

mod tee;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, HeaderName};
use http::{HeaderValue, Request, request};
use smallvec::SmallVec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::Body;
use crate::caller::Caller;
use crate::chain::Traveller;
use crate::fetch;
use crate::telemetry::metrics::MirrorResult;
use crate::telemetry::traces::context::Context;
use crate::upstream::{Asked, Keys, Upstream};
use crate::worker::Worker;

use tee::Tee;

/// The largest body that is copied.
const LARGEST: usize = 64 << 10;
/// Copies of one mirror under way at a time, their bodies included.
const MOST: usize = 256;
/// The longest that a copy may take, whatever its upstream is given.
const LONGEST: Duration = Duration::from_secs(60);

/// Tells an upstream that it is asked by a copy.
static MIRRORED: HeaderName = HeaderName::from_static("x-gatehouse-mirror");

/// Another upstream that a share of a route's requests is copied to.
pub struct Mirror {
    upstream: Arc<Upstream>,
    /// Between 0 and 1.
    share: f64,
    places: Arc<Semaphore>,
}

/// A copy that has its place, and whose body may still be on its way. Dropped before it is sent, it counts as incomplete.
struct Pending {
    worker: Rc<Worker>,
    upstream: Arc<Upstream>,
    place: Option<OwnedSemaphorePermit>,
}

/// What a copy is made of besides its body.
struct Original {
    head: request::Parts,
    caller: Option<Caller>,
    address: Option<IpAddr>,
    /// The span that the copy is sent below; None where the gateway does not trace.
    trace: Option<Context>,
}

/// Copies a request that is about to be sent: at once if its body is here, else when the last of it has passed.
pub fn copy(worker: &Rc<Worker>, mirrors: &[Mirror], traveller: &mut Traveller, address: Option<IpAddr>) {
    let pending: SmallVec<[Pending; 2]> = mirrors.iter().filter_map(|mirror| mirror.begin(worker)).collect();
    if pending.is_empty() {
        return;
    }
    let trace = traveller.call.as_ref().and_then(|call| call.trace);
    let mut head = traveller.head.clone();
    // What hyper keeps there belongs to the client's connection.
    head.extensions.clear();
    let original = Original { head, caller: traveller.caller().cloned(), address, trace };
    match &traveller.body {
        Body::Empty => send(pending, &Rc::new(original), &Bytes::new()),
        Body::Full(bytes) if bytes.len() <= LARGEST => send(pending, &Rc::new(original), bytes),
        body if fits(body) => {
            let body = std::mem::replace(&mut traveller.body, Body::Empty);
            traveller.body = Body::Staged(Box::pin(Tee::new(body, pending, original)));
        }
        _ => pending.into_iter().for_each(|pending| pending.give_up(MirrorResult::TooLarge)),
    }
}

/// Whether a body on its way may be small enough.
fn fits(body: &Body) -> bool {
    http_body::Body::size_hint(body).lower() <= LARGEST as u64
}

fn send(pending: SmallVec<[Pending; 2]>, original: &Rc<Original>, body: &Bytes) {
    for mut pending in pending {
        let Some(place) = pending.place.take() else { continue };
        let (worker, upstream) = (Rc::clone(&pending.worker), Arc::clone(&pending.upstream));
        tokio::task::spawn_local(run(worker, upstream, Rc::clone(original), body.clone(), place));
    }
}

/// The whole life of a copy.
async fn run(worker: Rc<Worker>, upstream: Arc<Upstream>, original: Rc<Original>, body: Bytes, place: OwnedSemaphorePermit) {
    let answered = tokio::time::timeout(LONGEST, ask(&worker, &upstream, &original, body)).await;
    let result = if answered == Ok(true) { MirrorResult::Answered } else { MirrorResult::Failed };
    worker.metrics.mirrored(&upstream.metrics, result);
    drop(place);
}

/// Whether there was an answer.
async fn ask(worker: &Rc<Worker>, upstream: &Upstream, original: &Original, body: Bytes) -> bool {
    let began = Instant::now();
    let head = &original.head;
    let keys =
        Keys { headers: &head.headers, path: head.uri.path_and_query(), caller: original.caller.as_ref(), address: original.address };
    let Ok(admission) = upstream.admit(began) else { return false };
    let Some(mut endpoint) = upstream.pick(&Asked { now: began, tried: &[], keys }) else { return false };
    let request = original.copy(body, &endpoint.authority);
    let sent = fetch::send_once(worker, upstream, &admission, &mut endpoint, request, original.trace, began).await;
    let Ok(sent) = sent.inspect_err(|error| tracing::debug!(upstream = &*upstream.name, %error, "a copy was not answered")) else {
        return false;
    };
    // A small answer is read to its end, so that the connection can be used again; a large one is left.
    let _ = sent.response.into_body().collect(LARGEST).await;
    true
}

// === impl Mirror ===

impl Mirror {
    /// Copies this share of requests, between 0 and 1, to an upstream.
    pub fn new(upstream: Arc<Upstream>, share: f64) -> Self {
        Self { upstream, share, places: Arc::new(Semaphore::new(MOST)) }
    }

    /// A place for a copy of one more request. None where it is not its turn, or there are too many already.
    fn begin(&self, worker: &Rc<Worker>) -> Option<Pending> {
        if self.share < 1.0 && fastrand::f64() >= self.share {
            return None;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            worker.metrics.mirrored(&self.upstream.metrics, MirrorResult::Busy);
            return None;
        };
        Some(Pending { worker: Rc::clone(worker), upstream: Arc::clone(&self.upstream), place: Some(place) })
    }
}

// === impl Pending ===

impl Pending {
    fn give_up(mut self, reason: MirrorResult) {
        self.place = None;
        self.worker.metrics.mirrored(&self.upstream.metrics, reason);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.worker.metrics.mirrored(&self.upstream.metrics, MirrorResult::Incomplete);
        }
    }
}

// === impl Original ===

impl Original {
    fn copy(&self, body: Bytes, authority: &str) -> Request<Body> {
        let mut request = Request::from_parts(self.head.clone(), Body::from(body));
        let headers = request.headers_mut();
        headers.insert(&MIRRORED, HeaderValue::from_static("1"));
        // An HTTP/1.0 client may have named no host; HTTP/1.1 has to.
        if !headers.contains_key(HOST)
            && let Ok(host) = HeaderValue::from_str(authority)
        {
            headers.insert(HOST, host);
        }
        request
    }
}
