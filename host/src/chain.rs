//! Chains: plugins in order on the way in, in reverse on the way out. Knows nothing of routes or upstreams.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use smallvec::SmallVec;

use crate::body::Body;
use crate::error::Error;
use crate::limit::Scope;
use crate::plugin::bindings::gatehouse::plugin::types;
use crate::plugin::pool::{Lease, Pools};
use crate::plugin::proxy_wasm::Stream;
use crate::plugin::verdict::{self, Changes, Reply, RequestEdit, RequestVerdict, ResponseEdit};
use crate::plugin::wasi_http::run::Rest;
use crate::plugin::{BodyMode, Call, Fault, OnError, Usage};
use crate::rollout::{Lineup, Seat, Turn};
use crate::telemetry::metrics::{Phase, WorkerMetrics};
use crate::telemetry::traces::{PluginCall, Recorder};

mod back;
mod limit;
mod middleware;
mod proxy_wasm;
mod shadow;
mod show;
mod stage;

use shadow::Shadow;
pub use stage::Interrupt;

/// The plugins of a route.
#[derive(Default)]
pub struct Chain {
    /// In order.
    pub steps: Box<[Step]>,
}

/// One use of a plugin.
pub struct Step {
    /// The name in logs and traces: the plugin's, or the step's own.
    pub name: Arc<str>,
    /// The plugin with its configuration.
    pub usage: Arc<Usage>,
    /// The version before, asked when this one faults and `on_error` says so.
    pub previous: Option<Arc<Usage>>,
    /// What happens when it faults.
    pub on_error: OnError,
    /// The name of the route, and of its upstream where there is one only, for those who ask.
    pub route: Arc<str>,
    /// See there.
    pub upstream: Option<Arc<str>>,
    /// The buckets of this step on this route.
    pub scope: Scope,
    /// Where other versions of the plugin take their turns.
    pub seat: Arc<Seat>,
}

/// What a chain works on: a request while it is here.
pub struct Traveller {
    /// Its head.
    pub head: http::request::Parts,
    /// Its body.
    pub body: Body,
    /// What capabilities see of it. Absent only while a plugin has it.
    pub call: Option<Box<Call>>,
    /// The id in logs and answers, where a plugin set one.
    pub request_id: Option<String>,
    /// How a plugin that streams the body can stop it.
    pub interrupt: Rc<Interrupt>,
    /// The plugin that answered.
    pub answered_by: Option<Arc<str>>,
    /// Whether a plugin faulted, be it skipped or not.
    pub faulted: bool,
    /// Why a response was not passed on but replaced by the gateway's own answer.
    pub replaced: Option<&'static str>,
    /// How long each step took on the way in.
    pub took: SmallVec<[Duration; 8]>,
    /// The limit that a step set and the body is known to pass.
    too_large: Option<u64>,
    /// What records the request in a trace; None for nearly all.
    pub recorder: Option<Rc<Recorder>>,
    reached: Vec<Reached>,
    secure: bool,
    /// A copy of the request for a version that is only compared; None unless the step at hand has one.
    shadow: Option<Box<Shadow>>,
    /// The body of a reply that is made while it passes.
    reply_body: Option<Box<Body>>,
}

/// A step that a request went through, with what it left for the way back.
struct Reached {
    step: usize,
    /// Which version handled it.
    usage: Arc<Usage>,
    state: Option<Vec<u8>>,
    edits: Vec<ResponseEdit>,
    /// A version that is only compared, and wants to see the response.
    shadow: Option<shadow::Waiting>,
    /// The request as the instance of a Proxy-Wasm filter has it. None for all others.
    stream: Option<Rc<Stream>>,
    /// The middleware that waits for the response. None for all others.
    rest: Option<Box<Rest>>,
}

/// What a worker lends to a chain.
pub struct Tools<'a> {
    /// Its instances.
    pub pools: &'a Rc<Pools>,
    /// Its counts.
    pub metrics: &'a WorkerMetrics,
}

// === impl Traveller ===

impl Traveller {
    /// A request that is about to enter a chain.
    pub fn new(head: http::request::Parts, body: Body, call: Box<Call>, secure: bool) -> Self {
        Self {
            head,
            body,
            call: Some(call),
            request_id: None,
            interrupt: Rc::default(),
            answered_by: None,
            faulted: false,
            replaced: None,
            took: SmallVec::new(),
            too_large: None,
            recorder: None,
            reached: Vec::new(),
            secure,
            shadow: None,
            reply_body: None,
        }
    }

    /// The caller, if somebody authenticated it.
    pub fn caller(&self) -> Option<&crate::caller::Caller> {
        self.call.as_ref().and_then(|call| call.client.as_ref())
    }

    /// The reply of a plugin that stopped the body on its way. Steps from that one on do not see the answer.
    pub fn interruption(&mut self) -> Option<Reply> {
        let interruption = self.interrupt.reply.borrow_mut().take()?;
        self.reached.retain(|reached| reached.step < interruption.step);
        self.answered_by = Some(interruption.by);
        Some(interruption.reply)
    }

    /// Remembers a step for the way back, if it has anything to do there.
    fn reach(&mut self, step: usize, usage: &Arc<Usage>, state: Option<Vec<u8>>, edits: Vec<ResponseEdit>) {
        if usage.needs.response || !edits.is_empty() {
            self.reached.push(Reached { step, usage: Arc::clone(usage), state, edits, shadow: None, stream: None, rest: None });
        }
    }

    /// Remembers that a shadow of the step wants to see the response, if the step itself does.
    fn shadowed(&mut self, step: usize, shadow: Option<shadow::Waiting>) {
        if let Some(reached) = self.reached.last_mut().filter(|reached| reached.step == step) {
            reached.shadow = shadow;
        }
    }

    fn lend_to(&mut self, step: &Step, usage: &Usage) -> Box<Call> {
        let mut call = self.call.take().expect("the call is back between two calls of plugins");
        call.scope = Some(step.scope.clone());
        if let Some(recorder) = &self.recorder {
            call.trace = Some(recorder.plugin_called(&usage.plugin.version));
        }
        call
    }

    /// Waits for the keys that the last call of a plugin ended for, if it did.
    async fn wait_for_keys(&mut self) {
        if let Some(awaited) = self.call.as_mut().and_then(|call| call.awaited.take()) {
            awaited.over().await;
        }
    }

    fn apply(&mut self, edit: RequestEdit) {
        match edit {
            RequestEdit::Header(edit) => edit.apply(&mut self.head.headers),
            RequestEdit::Method(method) => self.head.method = method,
            RequestEdit::Path(path) => self.head.uri = path.into(),
            RequestEdit::Body(body) => self.replace_body(body),
            RequestEdit::Client(caller) => {
                if let Some(call) = &mut self.call {
                    call.candidate = Some(caller);
                }
            }
            RequestEdit::RequestId(id) => self.request_id = Some(id),
            RequestEdit::LimitBody(limit) => limit::request(self, limit),
        }
    }

    fn replace_body(&mut self, body: Bytes) {
        self.head.headers.remove(header::CONTENT_LENGTH);
        self.body = Body::from(body);
    }
}

// === impl Chain ===

impl Chain {
    /// Takes a request through the steps. An answer if a plugin gave one; None if it may go on to the upstream.
    pub async fn forward(&self, traveller: &mut Traveller, tools: &Tools<'_>) -> Result<Option<Reply>, Error> {
        if self.steps.is_empty() {
            return Ok(None);
        }
        let mut before = Instant::now();
        for (place, step) in self.steps.iter().enumerate() {
            let lineup = step.seat.lineup();
            let turn = step.turn(lineup.as_deref(), traveller);
            let outcome = match step.forward_now(place, &turn, traveller, tools) {
                Some(outcome) => outcome,
                // Boxed, because futures are moved on the way down, and most steps need none.
                None => Box::pin(step.forward(place, &turn, traveller, tools)).await,
            };
            let after = Instant::now();
            took(turn.usage, after - before, traveller, tools);
            if let Some(recorder) = traveller.recorder.as_ref().filter(|_| turn.usage.needs.request) {
                recorder.plugin_done(&step.call(turn.usage, Phase::Request, matches!(outcome, Ok(Some(_))), before, after));
            }
            if let Some(shadow) = traveller.shadow.take() {
                traveller.shadowed(place, shadow.run(tools));
            }
            before = after;
            let reply = outcome?;
            if let Some(reply) = reply {
                if reply.status.as_u16() >= 400 {
                    turn.usage.tally.refused();
                }
                traveller.answered_by = Some(Arc::clone(&step.name));
                return Ok(Some(reply));
            }
            if let Some(limit) = traveller.too_large {
                return Err(Error::BodyTooLarge { limit });
            }
        }
        Ok(None)
    }
}

// === impl Step ===

impl Step {
    /// Which version deals with the request. The one that the step was built with, unless others take turns.
    #[inline]
    fn turn<'a>(&'a self, lineup: Option<&'a Lineup>, traveller: &mut Traveller) -> Turn<'a> {
        match lineup {
            None => Turn { usage: &self.usage, previous: self.previous.as_ref(), shadow: None },
            Some(lineup) => self.turn_of(lineup, traveller),
        }
    }

    #[cold]
    fn turn_of<'a>(&'a self, lineup: &'a Lineup, traveller: &mut Traveller) -> Turn<'a> {
        let call = traveller.call.as_ref().expect("the call is back between two calls of plugins");
        let turn = lineup.turn(call.client.as_ref(), call.address);
        if let Some((usage, comparison)) = turn.shadow {
            traveller.shadow = shadow::copy(self, usage, comparison, traveller);
        }
        turn
    }

    fn call<'a>(&'a self, usage: &'a Usage, phase: Phase, replied: bool, start: Instant, end: Instant) -> PluginCall<'a> {
        PluginCall { name: &self.name, version: &usage.plugin.version, phase, replied, start, end }
    }

    /// The common case without a future: a plugin that waits for nothing, does well, and has an instance at hand.
    /// None if it takes more than that; nothing has happened to the request then.
    fn forward_now(
        &self,
        place: usize,
        turn: &Turn<'_>,
        traveller: &mut Traveller,
        tools: &Tools<'_>,
    ) -> Option<Result<Option<Reply>, Error>> {
        let usage = turn.usage;
        if !usage.needs.request {
            traveller.reach(place, usage, None, Vec::new());
            return Some(Ok(None));
        }
        let buffers = matches!(usage.needs.request_body_of(&traveller.head.headers), BodyMode::Buffered(_));
        let waits = usage.waits || buffers || self.on_error == OnError::Previous;
        if waits {
            return None;
        }
        let asked = match tools.pools.at_hand(usage) {
            Ok(None) => return None,
            Ok(Some(mut lease)) => {
                let call = traveller.lend_to(self, usage);
                let (call, outcome) = show::request_now(lease.instance(), usage, traveller, call);
                self.heard(place, usage, traveller, call, outcome, lease, tools)
            }
            Err(fault) => Err(fault),
        };
        match asked {
            // The instance that asked is gone, and nothing came of the call.
            Err(Fault::KeysAwaited) => None,
            asked => Some(asked.or_else(|fault| self.faulted(fault, usage, traveller, tools))),
        }
    }

    async fn forward(&self, place: usize, turn: &Turn<'_>, traveller: &mut Traveller, tools: &Tools<'_>) -> Result<Option<Reply>, Error> {
        let fault = match self.ask(place, turn.usage, traveller, tools).await? {
            Ok(reply) => return Ok(reply),
            Err(fault) => fault,
        };
        let Some(previous) = turn.previous.filter(|_| self.on_error == OnError::Previous) else {
            return self.faulted(fault, turn.usage, traveller, tools);
        };
        traveller.faulted = true;
        note(&fault, turn.usage, traveller, tools);
        match self.ask(place, previous, traveller, tools).await? {
            Ok(reply) => Ok(reply),
            Err(fault) => self.faulted(fault, previous, traveller, tools),
        }
    }

    /// One version's answer. The outer error is the request's own: a body that broke or is too large.
    async fn ask(
        &self,
        place: usize,
        usage: &Arc<Usage>,
        traveller: &mut Traveller,
        tools: &Tools<'_>,
    ) -> Result<Result<Option<Reply>, Fault>, Error> {
        if usage.proxy_wasm().is_some() {
            return proxy_wasm::forward(self, place, usage, traveller, tools).await;
        }
        if usage.is_middleware() {
            return middleware::forward(self, place, usage, traveller, tools).await;
        }
        if !usage.needs.request {
            traveller.reach(place, usage, None, Vec::new());
            return Ok(Ok(None));
        }
        if let BodyMode::Buffered(limit) = usage.needs.request_body_of(&traveller.head.headers) {
            buffer_request(traveller, limit).await?;
        }
        loop {
            traveller.wait_for_keys().await;
            match self.ask_once(place, usage, traveller, tools).await {
                Err(Fault::KeysAwaited) => {}
                answer => return Ok(answer),
            }
        }
    }

    async fn ask_once(
        &self,
        place: usize,
        usage: &Arc<Usage>,
        traveller: &mut Traveller,
        tools: &Tools<'_>,
    ) -> Result<Option<Reply>, Fault> {
        let mut lease = tools.pools.lease(usage).await?;
        let call = traveller.lend_to(self, usage);
        let (call, outcome) = show::request(lease.instance(), usage, traveller, call).await;
        self.heard(place, usage, traveller, call, outcome, lease, tools)
    }

    /// Takes the plugin's verdict, once it is checked.
    #[expect(clippy::too_many_arguments, reason = "the two ways to call a plugin meet here")]
    fn heard(
        &self,
        place: usize,
        usage: &Arc<Usage>,
        traveller: &mut Traveller,
        call: Box<Call>,
        outcome: Result<types::RequestVerdict, Fault>,
        lease: Lease,
        tools: &Tools<'_>,
    ) -> Result<Option<Reply>, Fault> {
        traveller.call = Some(call);
        let verdict = verdict::request(outcome?, usage)?;
        if let Some(shadow) = &mut traveller.shadow {
            shadow.expect(&verdict, &traveller.body);
        }
        match verdict {
            RequestVerdict::Next(changes) => {
                self.go_on(place, usage, traveller, changes, lease, tools);
                Ok(None)
            }
            RequestVerdict::Respond(reply) => {
                lease.give_back();
                Ok(Some(reply))
            }
        }
    }

    /// What becomes of a request whose plugin faulted and has no version before it.
    fn faulted(&self, fault: Fault, usage: &Arc<Usage>, traveller: &mut Traveller, tools: &Tools<'_>) -> Result<Option<Reply>, Error> {
        traveller.faulted = true;
        note(&fault, usage, traveller, tools);
        match self.on_error {
            OnError::Skip => Ok(None),
            OnError::Closed | OnError::Previous => Err(Error::Plugin { plugin: self.name.to_string(), fault }),
        }
    }

    fn go_on(&self, place: usize, usage: &Arc<Usage>, traveller: &mut Traveller, changes: Changes, lease: Lease, tools: &Tools<'_>) {
        let body = usage.needs.request_body_of(&traveller.head.headers);
        changes.request.into_iter().for_each(|edit| traveller.apply(edit));
        if let Some(call) = &mut traveller.call {
            if let Some(caller) = call.candidate.take() {
                call.client = Some(caller);
            }
        }
        traveller.reach(place, usage, changes.state, changes.response);
        match body {
            BodyMode::Streamed if !traveller.body.is_empty() => stage::on_request(self, place, usage, traveller, lease, tools),
            _ => lease.give_back(),
        }
    }
}

impl Traveller {
    /// The request's id as text: the gateway's, or the one that a plugin set.
    pub fn id_text(&self) -> String {
        match (&self.request_id, &self.call) {
            (Some(id), _) => id.clone(),
            (None, Some(call)) => call.id.to_string(),
            (None, None) => String::new(),
        }
    }

    /// Whether the client's connection is TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

/// One look at the clock serves as the end of a step and the beginning of the next.
fn took(usage: &Usage, took: Duration, traveller: &mut Traveller, tools: &Tools<'_>) {
    traveller.took.push(took);
    if usage.needs.request {
        tools.metrics.plugin_called(&usage.plugin.handle, Phase::Request, took);
        usage.tally.called(took);
    }
}

/// A plugin's reply as a response.
pub fn reply_response(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

/// Counts and logs a fault, and tells the version's breaker.
pub fn note(fault: &Fault, usage: &Arc<Usage>, traveller: &Traveller, tools: &Tools<'_>) {
    let plugin = &usage.plugin;
    plugin.handle.fault(fault.label());
    usage.tally.faulted();
    if let Some(recorder) = &traveller.recorder {
        recorder.plugin_faulted(fault.label().as_str());
    }
    if matches!(fault, Fault::Suspended | Fault::NoInstance(_)) {
        tracing::debug!(plugin = %plugin.name, version = %plugin.version, %fault, "plugin not called");
        return;
    }
    tools.pools.faulted(usage);
    let request_id = traveller.id_text();
    tracing::warn!(plugin = %plugin.name, version = %plugin.version, reason = fault.reason().name(), request_id, "plugin {fault}");
}

async fn buffer_request(traveller: &mut Traveller, limit: usize) -> Result<(), Error> {
    let body = std::mem::replace(&mut traveller.body, Body::Empty);
    let bytes = body.collect(limit).await.map_err(Error::from_request_body)?;
    set_length(&mut traveller.head.headers, bytes.len());
    traveller.body = Body::from(bytes);
    Ok(())
}

/// A body that was read whole has a length, however it came.
fn set_length(headers: &mut HeaderMap, length: usize) {
    if length > 0 || headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}
