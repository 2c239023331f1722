//! One request through one component, in an instance of its own: made, called, and dropped when it has come to its end,
//! run past a limit, or lost its client. What goes in and comes out is in `call`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::body::{Fate, Outward, Task, WasiBody, inward};
use super::call::{self, Answer, Head};
use super::guest::{self, Guest};
use super::meter::Metered;
use super::next::Onward;
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

/// What a middleware made of a request.
pub enum Passed {
    /// It goes on, to what is behind the middleware.
    On(Request<Body>, Box<Rest>),
    /// It was answered.
    Back(Response<Body>),
}

/// A middleware that waits for a response.
pub struct Rest {
    response: oneshot::Sender<Response<WasiBody>>,
    guest: Running,
}

/// Has a component answer a request. A fault that comes once the answer has begun is told to the version's breaker, to
/// metrics and log; one before that is the caller's to tell.
///
/// # Errors
/// When there is no answer. Dropped before there is one, the component is stopped.
pub async fn answer(usage: &Arc<Usage>, pools: &Rc<Pools>, asked: Asked) -> Result<Response<Body>, Fault> {
    let wall = asked.timeout.map_or(usage.limits.wall, |timeout| timeout.min(usage.limits.wall));
    start(usage, pools, asked, None).await?.answer(wall).await
}

/// Shows a request to a middleware, until it asks for what is behind it or answers.
///
/// # Errors
/// As [`answer`] does.
pub async fn through(usage: &Arc<Usage>, pools: &Rc<Pools>, asked: Asked) -> Result<Passed, Fault> {
    let wall = usage.limits.wall;
    let (next, mut onward) = oneshot::channel();
    let mut guest = start(usage, pools, asked, Some(next)).await?;
    let first = async {
        tokio::select! {
            biased;
            Ok(onward) = &mut onward => Ok(Err(onward)),
            answer = guest.heard() => answer.map(Ok),
        }
    };
    match tokio::time::timeout(wall, first).await.map_err(|_| Fault::Wall(wall))?? {
        Ok(response) => Ok(Passed::Back(guest.passing(response)?)),
        Err(Onward { request, response }) => {
            let length = length(request.headers());
            // Whoever sends the body is watched for pauses already.
            let request = request.map(|body| Outward::new(body, guest.fate.clone(), None, length, None));
            Ok(Passed::On(request, Box::new(Rest { response, guest })))
        }
    }
}

impl Rest {
    /// Shows the response to the middleware, and has its own.
    ///
    /// # Errors
    /// When there is none.
    pub async fn back(self, response: Response<Body>) -> Result<Response<Body>, Fault> {
        // One that answered without waiting does not want it any more.
        let _ = self.response.send(response.map(|body| inward(body, ())));
        let wall = self.guest.usage.limits.wall;
        self.guest.answer(wall).await
    }
}

/// A guest at work on a request.
struct Running {
    usage: Arc<Usage>,
    head: oneshot::Receiver<Answer>,
    fate: Fate,
    task: Task,
}

async fn start(usage: &Arc<Usage>, pools: &Rc<Pools>, asked: Asked, next: Option<oneshot::Sender<Onward>>) -> Result<Running, Fault> {
    let permit = permit(usage).await?;
    let ((head, heard), fate) = (Head::new(), Fate::default());
    let report = Report { usage: Arc::clone(usage), pools: Rc::clone(pools), id: asked.id };
    let task = tokio::task::spawn_local(run(asked, permit, next, head, fate.clone(), report));
    Ok(Running { usage: Arc::clone(usage), head: heard, fate, task: Task::new(task) })
}

async fn permit(usage: &Usage) -> Result<OwnedSemaphorePermit, Fault> {
    if !usage.breaker.allows() {
        return Err(Fault::Suspended);
    }
    let free = tokio::time::timeout(QUEUE, Arc::clone(&usage.permits).acquire_owned()).await;
    free.ok().and_then(Result::ok).ok_or_else(|| Fault::NoInstance(format!("all {} are in use", usage.limits.instances)))
}

impl Running {
    async fn answer(mut self, wall: Duration) -> Result<Response<Body>, Fault> {
        let answer = tokio::time::timeout(wall, self.heard()).await.map_err(|_| Fault::Wall(wall))?;
        self.passing(answer?)
    }

    async fn heard(&mut self) -> Answer {
        // The task tells before it ends; what is closed untold was stopped with the worker.
        (&mut self.head).await.unwrap_or_else(|_| Err(Fault::Failed("ended without an answer".into())))
    }

    /// The answer, with the guest that goes on to make its body. It is what the gateway lets pass as one.
    fn passing(self, response: Response<WasiBody>) -> Result<Response<Body>, Fault> {
        let status = response.status().as_u16();
        if !(200..600).contains(&status) {
            return Err(Fault::Invalid(format!("{status} as a status")));
        }
        let (length, patience) = (length(response.headers()), self.usage.limits.wall);
        Ok(response.map(|body| Outward::new(body, self.fate, Some(patience), length, Some(self.task))))
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn run(asked: Asked, permit: OwnedSemaphorePermit, next: Option<oneshot::Sender<Onward>>, head: Head, fate: Fate, report: Report) {
    let usage = &report.usage;
    // Only such usages get here; with another, the head is dropped, and whoever waits hears of that.
    let Code::Http(linked, env) = &usage.code else { return };
    let outgoing =
        Outgoing { grants: Arc::clone(&usage.grants), fetch: asked.fetch, fate: fate.clone(), wall: usage.limits.wall, trace: asked.trace };
    let mut store = Guest::store(linked.engine(), usage, guest::Own { id: asked.id, env, outgoing, next, permit });
    // Dropped before the store, so that whoever has a body of the guest's learns first how it ended.
    let watch = fate.watch();
    let meter = store.data().meter();
    let called = Metered::new(meter, call::call(linked, &mut store, asked.request.map(|body| inward(body, ())), head.clone())).await;
    match called.map_err(Fault::from).and_then(|()| head.unanswered()) {
        Ok(()) => {
            watch.ended_well();
            report.served();
        }
        Err(fault) => {
            if let Err(Err(fault)) = head.tell(Err(fault)) {
                report.faulted(&fault);
            }
        }
    }
}

/// Tells what came of a request once nobody waits for that any more.
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
        self.pools.faulted(&self.usage);
        let request_id = self.id.to_string();
        tracing::warn!(plugin = %plugin.name, version = %plugin.version, reason = fault.reason().name(), request_id, "plugin {fault}");
    }
}
