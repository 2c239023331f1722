//! The recorder of one sampled request: its own span, and one below it for each call of a plugin.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::telemetry::access_log::{Flag, Flags, Protocol};
use crate::telemetry::metrics::Phase;

use super::WorkerTraces;
use super::context::{Context, SpanId};
use super::span::{Draft, Timeline, method, method_name, server};
use super::tries::{Hop, Tries};

/// Attributes that the span of a request has at most.
const ATTRIBUTES: usize = 20;

/// Records one request.
pub struct Recorder {
    worker: Rc<WorkerTraces>,
    /// The request's own span.
    context: Context,
    /// The client's span.
    parent: Option<SpanId>,
    /// The client's `tracestate`.
    state: RefCell<String>,
    began: Instant,
    timeline: Timeline,
    /// The plugin that is being called.
    plugin: RefCell<Option<Called>>,
    /// How that plugin faulted, if it did.
    fault: Cell<Option<&'static str>>,
}

/// A call of a plugin that is under way.
struct Called {
    span: SpanId,
    version: Arc<str>,
}

/// A call of a plugin that is over.
pub struct PluginCall<'a> {
    /// The name of its step.
    pub name: &'a str,
    /// The version that was to be called.
    pub version: &'a str,
    /// The part of the request that it worked on.
    pub phase: Phase,
    /// Whether it answered instead of letting the request go on.
    pub replied: bool,
    /// When it began.
    pub start: Instant,
    /// When it was over.
    pub end: Instant,
}

/// A request that is over.
pub struct Served<'a> {
    /// The method.
    pub method: &'a str,
    /// `https` or `http`.
    pub scheme: &'static str,
    /// The path that was asked for, without a query: its values may be secrets.
    pub path: &'a str,
    /// The host that was asked for.
    pub host: &'a str,
    /// The protocol of the client's connection.
    pub protocol: Protocol,
    /// The client's address, after trusted proxies.
    pub client_address: IpAddr,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The client program.
    pub user_agent: Option<&'a str>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The paths that the route is for, or its name where they are several.
    pub pattern: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The authenticated client's name.
    pub client: Option<&'a str>,
    /// The listener's name.
    pub listener: &'a str,
    /// The id of the request.
    pub request_id: &'a str,
    /// The status that the client got; 0 where it was gone before.
    pub status: u16,
    /// The reason of the gateway's own answer.
    pub error: Option<&'static str>,
    /// What was out of the ordinary.
    pub flags: Flags,
    /// The revision of the snapshot that served.
    pub revision: u64,
    /// How long all of it took.
    pub duration: Duration,
}

impl Recorder {
    pub(super) fn new(worker: &Rc<WorkerTraces>, context: Context, parent: Option<SpanId>, state: String, began: Instant) -> Self {
        Self {
            worker: Rc::clone(worker),
            context,
            parent,
            state: RefCell::new(state),
            began,
            timeline: Timeline::now(),
            plugin: RefCell::default(),
            fault: Cell::new(None),
        }
    }

    /// A plugin is about to be called. What it does outside happens below the returned span. A version that is called in
    /// place of another shares its span.
    pub fn plugin_called(&self, version: &Arc<str>) -> Context {
        let mut plugin = self.plugin.borrow_mut();
        let span = plugin.as_ref().map_or_else(|| self.worker.span_id(), |called| called.span);
        *plugin = Some(Called { span, version: Arc::clone(version) });
        self.fault.set(None);
        self.context.with_span(span)
    }

    /// The plugin that is being called faulted.
    pub fn plugin_faulted(&self, reason: &'static str) {
        self.fault.set(Some(reason));
    }

    /// The call of a plugin is over. Nothing is recorded of one that was not called, since the request ended before it.
    pub fn plugin_done(&self, call: &PluginCall<'_>) {
        let (called, fault) = (self.plugin.take(), self.fault.take());
        if called.is_none() && fault.is_none() {
            return;
        }
        // One that is suspended or has no instance faults without being called.
        let context = self.context.with_span(called.as_ref().map_or_else(|| self.worker.span_id(), |called| called.span));
        let version = called.as_ref().map_or(call.version, |called| &*called.version);
        let verdict = match (fault, call.replied) {
            (Some(_), _) => "fault",
            (None, true) => "respond",
            (None, false) => "next",
        };
        let draft = Draft::new(context, Some(self.context.span), SpanKind::Internal, format!("plugin {}", call.name))
            .room(5)
            .text("gatehouse.plugin.name", call.name)
            .text("gatehouse.plugin.version", version)
            .text("gatehouse.plugin.phase", call.phase.as_str())
            .text("gatehouse.plugin.verdict", verdict)
            .failed(fault);
        self.worker.record(draft.between(&self.timeline, call.start, call.end));
    }

    /// Begins the tries of an upstream.
    pub(super) fn tries<B>(&self, hop: Hop<'_>, request: &mut Request<B>, now: Instant) -> Box<Tries> {
        Tries::begin(&self.worker, self.timeline, self.context, hop, request, now)
    }

    /// The request is over.
    pub fn done(&self, served: &Served<'_>) {
        let draft = Draft::new(self.context, self.parent, SpanKind::Server, served.name()).room(ATTRIBUTES);
        let draft = if self.parent.is_some() { draft.remote(self.state.take()) } else { draft };
        let draft = served.outcome(served.gateway(served.request(draft)));
        self.worker.record(draft.between(&self.timeline, self.began, self.began + served.duration));
    }
}

impl Served<'_> {
    fn name(&self) -> String {
        let method = method_name(self.method);
        match self.pattern {
            Some(pattern) => format!("{method} {pattern}"),
            None => method.to_owned(),
        }
    }

    fn request(&self, draft: Draft) -> Draft {
        let draft = method(draft, self.method).text("url.scheme", self.scheme).text("url.path", self.path);
        // `user:password@host` is refused, and its password is nobody's business all the same.
        let host = self.host.rsplit_once('@').map_or(self.host, |(_, host)| host);
        let draft = if host.is_empty() { draft } else { server(draft, host) };
        draft
            .maybe("http.route", self.pattern)
            .text("network.protocol.version", self.protocol.version())
            .text("client.address", self.client_address.to_string())
            .text("network.peer.address", self.peer.to_string())
            .maybe("user_agent.original", self.user_agent)
    }

    fn gateway(&self, draft: Draft) -> Draft {
        draft
            .maybe("gatehouse.route", self.route)
            .maybe("gatehouse.upstream", self.upstream)
            .maybe("gatehouse.client", self.client)
            .text("gatehouse.listener", self.listener)
            .text("gatehouse.request_id", self.request_id)
            .number("gatehouse.revision", i64::try_from(self.revision).unwrap_or(i64::MAX))
            .list("gatehouse.flags", self.flags.iter().map(|flag| flag.as_str()))
    }

    fn outcome(&self, draft: Draft) -> Draft {
        let draft = if self.status == 0 { draft } else { draft.number("http.response.status_code", self.status) };
        draft.failed(self.failure())
    }

    /// A client's own mistakes are no failure of the server's (OpenTelemetry's HTTP conventions).
    fn failure(&self) -> Option<String> {
        if self.status >= 500 {
            return Some(self.error.map_or_else(|| self.status.to_string(), str::to_owned));
        }
        // A body that broke off came after its status.
        let broken = [(Flag::UpstreamReset, "upstream_reset"), (Flag::UpstreamTimeout, "upstream_timeout")];
        broken.iter().find(|(flag, _)| self.flags.contains(*flag)).map(|(_, reason)| (*reason).to_owned())
    }
}
