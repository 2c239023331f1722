//! The end of a request: one guard, dropped with the last byte of the response or with the client, writes the metrics
//! and the access log.

use std::cell::Cell;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, Version, header};
use http_body::{Frame, SizeHint};
use smallvec::SmallVec;

use crate::body::{Body, BodyError, Passage};
use crate::caller::Caller;
use crate::limit::Place;
use crate::snapshot::Route;
use crate::telemetry::RequestId;
use crate::telemetry::access_log::{Entry, Flag, Flags, Protocol};
use crate::telemetry::metrics::{Break, Finished, Method as MethodLabel};
use crate::telemetry::traces::context::TraceId;
use crate::telemetry::traces::{Arrival, Recorder, Served, Trace};
use crate::upstream::{InFlight, Upstream};
use crate::worker::View;

use super::head_guard::Admission;
use super::upgrade::Pending;
use super::{Connection, grpc};

/// The body of a response, with the guard that ends the request.
pub struct Answer {
    body: Body,
    /// None where something else ends the request.
    facts: Option<Box<Facts>>,
}

/// What is known of a request, gathered on its way.
pub struct Facts {
    /// Its connection.
    pub connection: Rc<Connection>,
    /// The snapshot it was served under.
    pub view: Rc<View>,
    /// Its number.
    pub id: RequestId,
    /// Where it stands in a trace; None where the gateway does not trace.
    pub trace: Option<Trace>,
    /// When its head was there.
    pub began: Instant,
    /// As it came.
    pub method: Method,
    /// As it came.
    pub uri: Uri,
    /// As it came.
    pub version: Version,
    /// The host it asked for.
    pub host: Option<HeaderValue>,
    /// The client program.
    pub user_agent: Option<HeaderValue>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The route it fell to.
    pub route: Option<Arc<Route>>,
    /// Where it went.
    pub upstream: Option<Arc<Upstream>>,
    /// Where exactly. It counts there until the request has ended.
    pub endpoint: Option<InFlight>,
    /// Who sent it.
    pub caller: Option<Caller>,
    /// The id in logs, where a plugin set one.
    pub request_id: Option<String>,
    /// The plugin that answered.
    pub answered_by: Option<Arc<str>>,
    /// What was out of the ordinary.
    pub flags: Flags,
    /// The reason of the gateway's own answer.
    pub error: Option<&'static str>,
    /// How long the upstream took to the head of its answer.
    pub upstream_took: Option<Duration>,
    /// How long the client took to send what a plugin had to have whole.
    pub client_wait: Duration,
    /// How often it was sent.
    pub attempts: Cell<u32>,
    /// How long each plugin took.
    pub took: SmallVec<[Duration; 8]>,
    /// The request's body.
    pub received: Rc<Passage>,
    /// The response's body, where it comes from an upstream.
    pub passage: Option<Rc<Passage>>,
    /// Whether the upstream's answer was no 5xx.
    pub is_good: bool,
    /// Keeps an HTTP/1 connection from counting as idle.
    pub admission: Option<Admission>,
    /// The places it takes up until it has ended.
    pub places: Vec<Place>,
    /// The upgrade it asks for, where the route allows it.
    pub upgrade: Option<Box<Pending>>,
    /// Whether it is a call of gRPC.
    pub is_call: bool,
    overhead: Duration,
    status: u16,
    sent: u64,
    ended: bool,
}

impl Facts {
    /// Begins with what the head says.
    pub fn new(connection: &Rc<Connection>, head: &http::request::Parts) -> Box<Self> {
        let worker = &connection.worker;
        let (view, id, began) = (worker.view(), worker.ids.next(), Instant::now());
        let trace = view.snapshot.traces.as_ref().map(|settings| {
            let from_proxy = connection.forwarding.borrow().from_proxy();
            Trace::begin(&worker.traces, settings, &Arrival { headers: &head.headers, from_proxy, id, began })
        });
        let told = worker.log.is_on() || trace.as_ref().is_some_and(|trace| trace.recorder().is_some());
        let kept = |name| head.headers.get(name).filter(|_| told).cloned();
        Box::new(Self {
            view,
            id,
            trace,
            began,
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            host: kept(header::HOST),
            user_agent: kept(header::USER_AGENT),
            address: None,
            route: None,
            upstream: None,
            endpoint: None,
            caller: None,
            request_id: None,
            answered_by: None,
            flags: Flags::default(),
            error: None,
            upstream_took: None,
            client_wait: Duration::ZERO,
            attempts: Cell::new(0),
            took: SmallVec::new(),
            received: Rc::default(),
            passage: None,
            is_good: false,
            admission: None,
            places: Vec::new(),
            upgrade: None,
            is_call: grpc::is_call(head),
            overhead: Duration::ZERO,
            status: 0,
            sent: 0,
            ended: false,
            connection: Rc::clone(connection),
        })
    }

    /// The id as text.
    pub fn id_text(&self) -> String {
        self.request_id.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// The head of the response is ready: what the gateway added to the upstream's time is known.
    pub fn answered(mut self: Box<Self>, status: u16, body: Body) -> Answer {
        self.decided(status);
        Answer { body, facts: Some(self) }
    }

    /// The status of the answer, which the log and the metrics go by.
    pub fn decided(&mut self, status: u16) {
        self.status = status;
        if let Some(refusal) = self.refusal() {
            self.flags.insert(refusal);
        }
        let waited = self.upstream_took.unwrap_or_default() + self.client_wait;
        self.overhead = self.began.elapsed().saturating_sub(waited);
    }

    /// So many bytes went up and down after an upgrade, and that was all.
    pub fn tunnelled(&mut self, up: u64, down: u64) {
        self.received.bytes.set(up);
        self.sent = down;
        self.ended = true;
    }

    /// Whether the answer is the gateway's own, or a plugin's.
    pub fn is_answered_here(&self) -> bool {
        self.error.is_some() || self.answered_by.is_some()
    }

    /// What records it, if anything does.
    pub fn recorder(&self) -> Option<&Rc<Recorder>> {
        self.trace.as_ref().and_then(Trace::recorder)
    }

    /// What kind of a refusal a plugin's reply is, going by its status.
    fn refusal(&self) -> Option<Flag> {
        match self.status {
            _ if self.answered_by.is_none() => None,
            401 | 403 => Some(Flag::Unauthorized),
            429 => Some(Flag::RateLimited),
            _ => None,
        }
    }

    /// It ends before the last byte of its answer.
    fn broke_off(&mut self) {
        let (flag, reason) = match self.passage.as_ref().and_then(|passage| passage.error.get()) {
            Some(BodyError::Stalled(_) | BodyError::Late) => (Flag::UpstreamTimeout, Break::UpstreamTimeout),
            Some(BodyError::TooLarge(_)) => (Flag::TooLarge, Break::TooLarge),
            Some(_) => (Flag::UpstreamReset, Break::UpstreamReset),
            None => (Flag::ClientGone, Break::ClientGone),
        };
        self.flags.insert(flag);
        self.count_break(reason);
    }

    /// Tells the upstream what became of the body of its answer, unless it was the client's own that broke.
    fn learn_body(&self, now: Instant) {
        let (Some(upstream), Some(endpoint), Some(passage)) = (&self.upstream, &self.endpoint, &self.passage) else { return };
        if self.is_good && self.received.error.get().is_none() {
            upstream.learn_body(endpoint, passage, now);
        }
    }

    fn count_break(&self, reason: Break) {
        if let Some(upstream) = &self.upstream {
            self.connection.worker.metrics.broken(&upstream.metrics, reason);
        }
    }

    fn count(&self, duration: Duration) {
        self.connection.worker.metrics.finish(&Finished {
            route: self.route.as_ref().map(|route| &route.metrics),
            method: MethodLabel::of(self.method.as_str()),
            status: self.status,
            duration,
            overhead: self.overhead,
        });
    }

    fn log(&self, duration: Duration) {
        let plugins = self.plugins();
        let id = self.id.text();
        let trace = self.trace.as_ref().map(Trace::id);
        self.connection.worker.log.write(&Entry {
            time: SystemTime::now(),
            request_id: self.request_id.as_ref().map_or(&id.as_bytes()[..], |id| id.as_bytes()),
            listener: &self.connection.listener.name,
            client_address: self.address.unwrap_or(self.connection.peer.ip()),
            method: self.method.as_str(),
            host: self.asked_host(),
            path: self.uri.path().as_bytes(),
            protocol: protocol(self.version),
            route: self.route.as_ref().map(|route| &*route.name),
            upstream: self.upstream.as_ref().map(|upstream| &*upstream.name),
            endpoint: self.endpoint.as_ref().map(|endpoint| &*endpoint.authority),
            client: self.caller.as_ref().map(Caller::name),
            status: self.status,
            flags: self.flags,
            plugin: self.answered_by.as_deref(),
            error: self.error,
            bytes_in: self.received.bytes.get(),
            bytes_out: self.sent,
            duration,
            upstream_duration: self.upstream_took,
            overhead: self.overhead,
            attempts: self.attempts.get(),
            plugins: &plugins,
            revision: self.view.snapshot.revision,
            trace_id: trace.as_ref().map(|id| &id.as_bytes()[..]),
            user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
        });
    }

    fn record(&self, recorder: &Recorder, duration: Duration) {
        recorder.done(&Served {
            method: self.method.as_str(),
            scheme: if self.connection.secure { "https" } else { "http" },
            path: self.uri.path(),
            host: std::str::from_utf8(self.asked_host()).unwrap_or_default(),
            protocol: protocol(self.version),
            client_address: self.address.unwrap_or(self.connection.peer.ip()).to_canonical(),
            peer: self.connection.peer.ip().to_canonical(),
            user_agent: self.user_agent.as_ref().and_then(|agent| agent.to_str().ok()),
            route: self.route.as_ref().map(|route| &*route.name),
            pattern: self.route.as_ref().map(|route| &*route.pattern),
            upstream: self.upstream.as_ref().map(|upstream| &*upstream.name),
            client: self.caller.as_ref().map(Caller::name),
            listener: &self.connection.listener.name,
            request_id: &self.id_text(),
            status: self.status,
            error: self.error,
            flags: self.flags,
            revision: self.view.snapshot.revision,
            duration,
        });
    }

    /// The host that was asked for, wherever the request has it.
    fn asked_host(&self) -> &[u8] {
        let authority = || self.uri.authority().map_or(&[][..], |authority| authority.as_str().as_bytes());
        self.host.as_ref().map_or_else(authority, |host| host.as_bytes())
    }

    fn plugins(&self) -> SmallVec<[(&str, Duration); 8]> {
        if !self.view.snapshot.plugin_times.takes(TraceId(self.id.0)) {
            return SmallVec::new();
        }
        let steps = self.route.iter().flat_map(|route| route.chain.steps.iter());
        steps.zip(&self.took).map(|(step, took)| (&*step.name, *took)).collect()
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        match self.ended {
            false => self.broke_off(),
            true if self.flags.contains(Flag::ClientGone) => self.count_break(Break::ClientGone),
            true => {}
        }
        let now = Instant::now();
        if let Some(admission) = self.admission.take() {
            admission.finish(now.into());
        }
        let duration = now - self.began;
        self.learn_body(now);
        self.count(duration);
        if self.connection.worker.log.is_on() {
            self.log(duration);
        }
        if let Some(recorder) = self.recorder() {
            self.record(recorder, duration);
        }
    }
}

fn protocol(version: Version) -> Protocol {
    match version {
        Version::HTTP_2 => Protocol::Http2,
        Version::HTTP_10 => Protocol::Http10,
        _ => Protocol::Http11,
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let answer = self.get_mut();
        let polled = Pin::new(&mut answer.body).poll_frame(context);
        let Some(facts) = &mut answer.facts else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                facts.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                facts.ended = frame.is_trailers() || answer.body.is_end_stream();
            }
            Poll::Ready(None) => facts.ended = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Answer {
    /// There is no body to send, so nothing will be polled: the request has ended well.
    pub fn without_body(mut self) -> Self {
        self.facts.iter_mut().for_each(|facts| facts.ended = true);
        self
    }

    /// The empty body of a request that something else ends.
    pub fn unwatched() -> Self {
        Self { body: Body::Empty, facts: None }
    }
}
