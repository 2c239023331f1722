//! A version that is only compared. It gets a copy of the request when the stable version has had it, on the same worker
//! when that has nothing better to do, and a copy of the response likewise. What it says goes no further than a count.

use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_64;

use crate::body::Body;
use crate::plugin::pool::Pools;
use crate::plugin::verdict::{self, Changes, Reply, RequestEdit, RequestVerdict, ResponseEdit, ResponseVerdict};
use crate::plugin::{BodyMode, Call, Fault, Usage};
use crate::rollout::comparison::{Comparison, Place};

use super::{Step, Tools, Traveller, show};

/// A copy of a request on its way to a shadow.
pub struct Shadow {
    copy: Traveller,
    usage: Arc<Usage>,
    comparison: Arc<Comparison>,
    /// What the stable version said; None as long as it has said nothing, or when its body cannot be shown again.
    expected: Option<String>,
    _place: Place,
}

/// The way to a shadow that waits for the response.
pub type Waiting = oneshot::Sender<Answer>;

/// A response as it was before the stable version had it, and what that said of it.
pub struct Answer {
    response: Response<Body>,
    from_gateway: bool,
    expected: String,
}

/// Copies a request for a version that is only compared. None if that has no say in requests, or too many already.
pub fn copy(step: &Step, usage: &Arc<Usage>, comparison: &Arc<Comparison>, traveller: &Traveller) -> Option<Box<Shadow>> {
    if !usage.needs.request || !usage.is_plugin() {
        return None;
    }
    // What it does is its own to send: its calls, its shared data, and its metrics.
    if usage.proxy_wasm().is_some() {
        comparison.skip();
        return None;
    }
    let Some(place) = comparison.enter() else {
        comparison.skip();
        return None;
    };
    let mut call = traveller.call.as_ref()?.another();
    call.services = Arc::new(call.services.counting_for(&comparison.decisions));
    call.scope = Some(step.scope.apart());
    call.apart = true;
    let copy = Traveller::new(head(&traveller.head), Body::Empty, call, traveller.secure);
    Some(Box::new(Shadow { copy, usage: Arc::clone(usage), comparison: Arc::clone(comparison), expected: None, _place: place }))
}

/// Without what hyper left in it for itself.
fn head(head: &http::request::Parts) -> http::request::Parts {
    let mut copy = Request::new(()).into_parts().0;
    copy.method = head.method.clone();
    copy.uri = head.uri.clone();
    copy.headers = head.headers.clone();
    copy
}

/// A body that can be shown twice.
fn again(body: &Body) -> Option<Body> {
    match body {
        Body::Full(bytes) => Some(Body::Full(bytes.clone())),
        Body::Empty => Some(Body::Empty),
        Body::Incoming(_) | Body::Staged(_) => None,
    }
}

// === impl Shadow ===

impl Shadow {
    /// Remembers what the stable version said of a request with this body.
    pub fn expect(&mut self, verdict: &RequestVerdict, body: &Body) {
        let wants_body = matches!(self.usage.needs.request_body_of(&self.copy.head.headers), BodyMode::Buffered(_));
        match (again(body), wants_body) {
            (Some(body), _) => self.copy.body = body,
            (None, false) => {}
            (None, true) => return,
        }
        self.expected = Some(of_request(verdict));
    }

    /// Asks the shadow, later. What comes back takes the response to it, if it has a say in that.
    pub fn run(mut self: Box<Self>, tools: &Tools<'_>) -> Option<Waiting> {
        let Some(expected) = self.expected.take() else {
            self.comparison.skip();
            return None;
        };
        let (pools, (answered, answer)) = (Rc::clone(tools.pools), oneshot::channel());
        let responds = self.usage.needs.response;
        tokio::task::spawn_local(async move {
            let Some(state) = self.compare_request(&pools, &expected).await else { return };
            if let Some(answer) = waited_for(answer, responds).await {
                self.compare_response(&pools, &state, answer).await;
            }
        });
        responds.then_some(answered)
    }

    /// The shadow's state for the response, if the request is to go on.
    async fn compare_request(&mut self, pools: &Rc<Pools>, expected: &str) -> Option<Option<Vec<u8>>> {
        let began = Instant::now();
        let said = self.ask(pools).await;
        self.usage.tally.called(began.elapsed());
        self.told(expected, said.as_ref().map(of_request), pools);
        match said {
            Ok(RequestVerdict::Next(changes)) => Some(changes.state),
            Ok(RequestVerdict::Respond(_)) | Err(_) => None,
        }
    }

    async fn compare_response(&mut self, pools: &Rc<Pools>, state: &Option<Vec<u8>>, answer: Answer) {
        let began = Instant::now();
        let said = self.ask_back(pools, state.as_deref(), &answer).await;
        self.usage.tally.called(began.elapsed());
        self.told(&answer.expected, said.as_ref().map(of_response), pools);
    }

    fn told(&self, expected: &str, said: Result<String, &Fault>, pools: &Pools) {
        match said {
            Ok(said) => self.comparison.compare(expected, &said),
            Err(fault) => {
                self.usage.plugin.handle.fault(fault.label());
                self.usage.tally.faulted();
                if !matches!(fault, Fault::Suspended | Fault::NoInstance(_)) {
                    pools.faulted(&self.usage);
                }
                self.comparison.compare(expected, &format!("nothing, as it {fault}"));
            }
        }
    }

    async fn ask(&mut self, pools: &Rc<Pools>) -> Result<RequestVerdict, Fault> {
        let mut lease = pools.lease(&self.usage).await?;
        let call = self.call();
        let (call, outcome) = show::request(lease.instance(), &self.usage, &self.copy, call).await;
        self.copy.call = Some(with_client(call));
        let verdict = verdict::request(outcome?, &self.usage)?;
        lease.give_back();
        Ok(verdict)
    }

    async fn ask_back(&mut self, pools: &Rc<Pools>, state: Option<&[u8]>, answer: &Answer) -> Result<ResponseVerdict, Fault> {
        let mut lease = pools.lease(&self.usage).await?;
        let shown = show::Shown { response: &answer.response, state, from_gateway: answer.from_gateway };
        let call = self.call();
        let (call, outcome) = show::response(lease.instance(), &self.usage, &shown, call).await;
        self.copy.call = Some(call);
        let verdict = verdict::response(outcome?, &self.usage)?;
        lease.give_back();
        Ok(verdict)
    }

    fn call(&mut self) -> Box<Call> {
        self.copy.call.take().expect("the call is back between two calls of plugins")
    }
}

/// Whom the shadow authenticated is the client when it sees the response.
fn with_client(mut call: Box<Call>) -> Box<Call> {
    if let Some(caller) = call.candidate.take() {
        call.client = Some(caller);
    }
    call
}

async fn waited_for(answer: oneshot::Receiver<Answer>, responds: bool) -> Option<Answer> {
    if !responds {
        return None;
    }
    answer.await.ok()
}

// === impl Answer ===

impl Answer {
    /// A copy of a response. None if its body cannot be shown twice and the stable version is shown it.
    pub fn copy(response: &Response<Body>, from_gateway: bool, body: BodyMode) -> Option<Self> {
        let body = match (again(response.body()), body) {
            (Some(body), _) => body,
            (None, BodyMode::None | BodyMode::Streamed) => Body::Empty,
            (None, BodyMode::Buffered(_)) => return None,
        };
        let mut copy = Response::new(body);
        *copy.status_mut() = response.status();
        *copy.headers_mut() = response.headers().clone();
        Some(Self { response: copy, from_gateway, expected: String::new() })
    }

    /// Sends it to the shadow, with what the stable version said.
    pub fn send(mut self, verdict: &ResponseVerdict, shadow: Waiting) {
        self.expected = of_response(verdict);
        // A shadow that is gone has been counted.
        let _ = shadow.send(self);
    }
}

// === what verdicts are compared by, and told as ===

fn of_request(verdict: &RequestVerdict) -> String {
    match verdict {
        // What a version leaves for its own response phase is its own business.
        RequestVerdict::Next(Changes { request, response, state: _ }) => {
            let request: Vec<String> = request.iter().map(request_edit).collect();
            let response: Vec<String> = response.iter().map(response_edit).collect();
            format!("next, request [{}], response [{}]", request.join("; "), response.join("; "))
        }
        RequestVerdict::Respond(reply) => of_reply(reply),
    }
}

fn of_response(verdict: &ResponseVerdict) -> String {
    match verdict {
        ResponseVerdict::Next(edits) => format!("on, with [{}]", edits.iter().map(response_edit).collect::<Vec<_>>().join("; ")),
        ResponseVerdict::Respond(reply) => of_reply(reply),
    }
}

fn of_reply(reply: &Reply) -> String {
    let mut text = format!("{} with {}", reply.status.as_u16(), bytes(&reply.body));
    for (name, value) in &reply.headers {
        // Writing to a string cannot fail.
        let _ = write!(text, "; {name}: {value:?}");
    }
    text
}

fn request_edit(edit: &RequestEdit) -> String {
    match edit {
        RequestEdit::Body(body) => bytes(body),
        RequestEdit::Client(caller) => format!("client {:?} by {}", caller.name(), caller.method()),
        other => format!("{other:?}"),
    }
}

fn response_edit(edit: &ResponseEdit) -> String {
    match edit {
        ResponseEdit::Body(body) => bytes(body),
        other => format!("{other:?}"),
    }
}

fn bytes(bytes: &Bytes) -> String {
    format!("a body of {} bytes ({:08x})", bytes.len(), xxh3_64(bytes) >> 32)
}
