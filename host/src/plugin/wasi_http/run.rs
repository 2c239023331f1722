//! One request through one component, in an instance of its own: made, called, and dropped when it has come to its end,
//! run past a limit, or lost its client.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::Linked;
use super::body::{Fate, Outward, Task, WasiBody, inward};
use super::guest::Guest;
use super::meter::Metered;
use super::outgoing::Outgoing;
use crate::body::Body;
use crate::plugin::Fault;
use crate::plugin::capability::http::FetchSender;
use crate::plugin::pool::Pools;
use crate::plugin::usage::{Code, Usage};
use crate::telemetry::RequestId;
use crate::telemetry::traces::context::Context;

/// How long a request waits for an instance when all are in use.
const QUEUE: Duration = Duration::from_secs(1);

/// A request for a component.
pub struct Asked {
    /// With a whole address: scheme, authority, path.
    pub request: Request<Body>,
    /// Its number.
    pub id: RequestId,
    /// The way to the worker.
    pub fetch: FetchSender,
    /// The span that what it sends happens below.
    pub trace: Option<Context>,
    /// How long the head of the answer may take, where that is less than the component's own limit.
    pub timeout: Option<Duration>,
}

/// Has a component answer a request. Faults are told to the version's breaker, metrics and log, also those that come
/// once the answer has begun.
///
/// # Errors
/// When there is no answer. Dropped before there is one, the component is stopped.
pub async fn answer(usage: &Arc<Usage>, pools: &Rc<Pools>, asked: Asked) -> Result<Response<Body>, Fault> {
    let report = Report { usage: Arc::clone(usage), pools: Rc::clone(pools), id: asked.id };
    let wall = asked.timeout.map_or(usage.limits.wall, |timeout| timeout.min(usage.limits.wall));
    let permit = permit(usage).await.inspect_err(|fault| report.faulted(fault))?;
    let (head, heard) = oneshot::channel();
    let (head, fate) = (Head(Arc::new(Mutex::new(Some(head)))), Fate::default());
    let task = Task::new(tokio::task::spawn_local(run(Arc::clone(&report.usage), asked, permit, head, fate.clone(), report.clone())));
    let response = match tokio::time::timeout(wall, heard).await {
        Ok(Ok(answer)) => checked(answer?).inspect_err(|fault| report.faulted(fault))?,
        // The task tells why before it ends.
        Ok(Err(_)) => return Err(Fault::Failed("ended without an answer".into())),
        Err(_) => {
            let fault = Fault::Wall(wall);
            report.faulted(&fault);
            return Err(fault);
        }
    };
    let length = length(response.headers());
    Ok(response.map(|body| Outward::new(body, fate, usage.limits.wall, length, Some(task))))
}

async fn permit(usage: &Usage) -> Result<OwnedSemaphorePermit, Fault> {
    if !usage.breaker.allows() {
        return Err(Fault::Suspended);
    }
    let free = tokio::time::timeout(QUEUE, Arc::clone(&usage.permits).acquire_owned()).await;
    free.ok().and_then(Result::ok).ok_or_else(|| Fault::NoInstance(format!("all {} are in use", usage.limits.instances)))
}

/// What the gateway lets pass as an answer.
fn checked(response: Response<WasiBody>) -> Result<Response<WasiBody>, Fault> {
    match response.status().as_u16() {
        200..=599 => Ok(response),
        status => Err(Fault::Invalid(format!("{status} as a status"))),
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn run(usage: Arc<Usage>, asked: Asked, permit: OwnedSemaphorePermit, head: Head, fate: Fate, report: Report) {
    let Code::Http(linked) = &usage.code else { return };
    let outgoing =
        Outgoing { grants: Arc::clone(&usage.grants), fetch: asked.fetch, fate: fate.clone(), wall: usage.limits.wall, trace: asked.trace };
    let mut store = Guest::store(linked.engine(), &usage, asked.id, outgoing, permit);
    let watch = fate.watch();
    let request = asked.request.map(|body| inward(body, ()));
    let meter = store.data().meter();
    let called = match linked {
        Linked::Proxy(pre) => Metered::new(meter, proxy(pre, &mut store, request, head.clone())).await,
        Linked::Service(pre) => Metered::new(meter, service(pre, &mut store, request, head.clone())).await,
    };
    match called.map_err(Fault::from).and_then(|()| head.unanswered()) {
        Ok(()) => {
            watch.ended_well();
            report.served();
        }
        Err(fault) => {
            report.faulted(&fault);
            head.tell(Err(fault));
        }
    }
}

async fn proxy(pre: &ProxyPre<Guest>, store: &mut Store<Guest>, request: Request<WasiBody>, head: Head) -> wasmtime::Result<()> {
    let guest = pre.instantiate_async(&mut *store).await?;
    let scheme = if request.uri().scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http };
    let mut http = store.data_mut().http();
    let request = http.new_incoming_request(scheme, request)?;
    let answer = http.new_response_outparam_from_callback(move |answer| {
        head.tell(answer.map_err(|code| Fault::Failed(format!("{code:?}"))));
    })?;
    guest.wasi_http_incoming_handler().call_handle(store, request, answer).await
}

async fn service(pre: &ServicePre<Guest>, store: &mut Store<Guest>, request: Request<WasiBody>, head: Head) -> wasmtime::Result<()> {
    let guest = pre.instantiate_async(&mut *store).await?;
    let called = store.run_concurrent(async move |accessor| {
        let (request, received) = accessor.with(|mut access| {
            let (request, received) = p3::Request::from_http(access.data_mut().http().hooks, request);
            (request, Box::pin(received) as Received)
        });
        match guest.handle(accessor, request).await? {
            Ok(response) => head.tell(Ok(accessor.with(|access| response.into_http(access, received))?)),
            Err(code) => head.tell(Err(Fault::Failed(format!("{code:?}")))),
        }
        // Its answer's body, and what it does after that.
        poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
        Ok(())
    });
    called.await?
}

/// Whether the guest took the request's body well.
type Received = Pin<Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>>;

/// Where the answer goes. The first one counts.
#[derive(Clone)]
struct Head(Arc<Mutex<Option<oneshot::Sender<Answer>>>>);

type Answer = Result<Response<WasiBody>, Fault>;

impl Head {
    fn tell(&self, answer: Answer) {
        if let Some(waiting) = self.0.lock().take() {
            // Nobody waits for it where the client went away just now.
            let _ = waiting.send(answer);
        }
    }

    /// A fault if it came to its end without an answer.
    fn unanswered(&self) -> Result<(), Fault> {
        match self.0.lock().is_some() {
            true => Err(Fault::Failed("it gave no answer".into())),
            false => Ok(()),
        }
    }
}

/// Tells what came of a request.
#[derive(Clone)]
struct Report {
    usage: Arc<Usage>,
    pools: Rc<Pools>,
    id: RequestId,
}

impl Report {
    fn served(&self) {
        self.pools.served(&self.usage);
    }

    fn faulted(&self, fault: &Fault) {
        let plugin = &self.usage.plugin;
        plugin.handle.fault(fault.label());
        self.usage.tally.faulted();
        if matches!(fault, Fault::Suspended | Fault::NoInstance(_)) {
            tracing::debug!(plugin = %plugin.name, version = %plugin.version, %fault, "component not called");
            return;
        }
        self.pools.faulted(&self.usage);
        let request_id = self.id.to_string();
        tracing::warn!(plugin = %plugin.name, version = %plugin.version, reason = fault.reason().name(), request_id, "plugin {fault}");
    }
}
