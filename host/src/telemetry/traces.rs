//! Traces: where a request stands in a trace, and the spans of the few that are recorded. A request that is not recorded
//! costs a comparison and a header; no span is built for it and no clock is read.
//!
//! Spans leave the workers in batches: [`WorkerTraces`] collects them, [`export`] sends them to a collector.

pub mod context;
pub mod export;
pub mod otlp;
mod recorder;
pub mod sampler;
mod span;
mod tries;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, BytesMut};
use fastrand::Rng;
use http::{HeaderMap, HeaderValue, Request};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::RequestId;
use super::request_id::RequestIdText;
use context::{Context, LENGTH, SpanId, TRACEPARENT, TRACESTATE, TraceId};
use export::Queue;
use sampler::Sampler;
use span::Timeline;

pub use recorder::{PluginCall, Recorder, Served};
pub use tries::{Hop, Tries};

/// Spans at which a worker hands them over without waiting for its tick.
const CHUNK: usize = 64;

/// Bytes of `traceparent` values that are allocated at a time.
const VALUES: usize = 64 * LENGTH;

/// How the gateway traces.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which traces that begin here are recorded.
    pub sampler: Sampler,
    /// Whose `traceparent` is believed.
    pub parents: Parents,
    /// Where spans go.
    pub collector: Arc<otlp::Collector>,
}

/// Whose `traceparent` is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parents {
    /// Everybody's.
    Always,
    /// That of trusted proxies.
    Proxies,
    /// Nobody's: every request begins a trace.
    Never,
}

/// What is known of a request before it is served.
pub struct Arrival<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Whether it comes from a trusted proxy.
    pub from_proxy: bool,
    /// Its id. A trace that begins with it has the same.
    pub id: RequestId,
    /// When it came.
    pub began: Instant,
}

/// Where a request stands in a trace.
pub struct Trace {
    /// The gateway's own span.
    context: Context,
    /// Whether the request's `tracestate` goes on.
    keeps_state: bool,
    /// What records it, if it is recorded.
    recorder: Option<Rc<Recorder>>,
}

/// One worker's end of tracing.
pub struct WorkerTraces {
    queue: Queue,
    pending: RefCell<Vec<Span>>,
    ids: RefCell<Rng>,
    /// What `traceparent` values are cut from, so that most of them allocate nothing.
    values: RefCell<BytesMut>,
}

// === impl Trace ===

impl Trace {
    /// Begins a request's part of a trace: the parent's if there is one to believe, else a new one.
    pub fn begin(worker: &Rc<WorkerTraces>, settings: &Settings, arrival: &Arrival<'_>) -> Self {
        let believed = settings.parents.believe(arrival.from_proxy);
        let parent = if believed { Context::of(arrival.headers) } else { None };
        let context = match parent {
            Some(parent) => parent.with_span(worker.span_id()),
            None => worker.root(settings.sampler, arrival.id),
        };
        let keeps_state = parent.is_some() && context::state_is_valid(arrival.headers);
        let recorder = context.sampled.then(|| {
            let state = if keeps_state { state(arrival.headers) } else { String::new() };
            Rc::new(Recorder::new(worker, context, parent.map(|parent| parent.span), state, arrival.began))
        });
        Self { context, keeps_state, recorder }
    }

    /// The trace and the gateway's span in it.
    pub fn context(&self) -> Context {
        self.context
    }

    /// The name of the trace, as 32 hex digits.
    pub fn id(&self) -> RequestIdText {
        RequestId(self.context.trace.0).text()
    }

    /// What records the request, if anything does.
    pub fn recorder(&self) -> Option<&Rc<Recorder>> {
        self.recorder.as_ref()
    }

    /// Writes what the next hop is to know of the trace. Where the request is recorded, its first try begins here.
    pub fn send_on<B>(&self, worker: &WorkerTraces, hop: Hop<'_>, request: &mut Request<B>, now: Instant) -> Option<Box<Tries>> {
        if !self.keeps_state {
            request.headers_mut().remove(&TRACESTATE);
        }
        match &self.recorder {
            None => worker.pass_on(self.context, request.headers_mut()),
            Some(recorder) => return Some(recorder.tries(hop, request, now)),
        }
        None
    }
}

/// Several fields are one list (RFC 9110 §5.3).
fn state(headers: &HeaderMap) -> String {
    let values: Vec<&str> = headers.get_all(&TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

impl Parents {
    fn believe(self, from_proxy: bool) -> bool {
        match self {
            Parents::Always => true,
            Parents::Proxies => from_proxy,
            Parents::Never => false,
        }
    }
}

// === impl WorkerTraces ===

impl WorkerTraces {
    /// A worker's end that hands its spans to this queue.
    pub fn new(queue: Queue) -> Rc<Self> {
        Rc::new(Self { queue, pending: RefCell::default(), ids: RefCell::new(Rng::new()), values: RefCell::default() })
    }

    /// Hands over the spans there are. The worker's tick calls this.
    pub fn flush(&self) {
        let mut pending = self.pending.borrow_mut();
        if !pending.is_empty() {
            self.queue.hand_over(std::mem::take(&mut *pending));
        }
    }

    /// Writes the trace into a plugin's own call, which happens below the span of `context`. Where that is recorded, its
    /// first try begins here.
    pub fn fetch<B>(self: &Rc<Self>, context: Context, hop: Hop<'_>, request: &mut Request<B>, now: Instant) -> Option<Box<Tries>> {
        if context.sampled {
            return Some(Tries::begin(self, Timeline::now(), context, hop, request, now));
        }
        self.pass_on(context, request.headers_mut());
        None
    }

    /// A span that is not recorded has a name all the same, since the next hop may have its own opinion.
    fn pass_on(&self, context: Context, headers: &mut HeaderMap) {
        self.write(context.with_span(self.span_id()), headers);
    }

    fn root(&self, sampler: Sampler, id: RequestId) -> Context {
        let trace = match id.0 {
            [0, 0] => TraceId([0, 1]),
            random => TraceId(random),
        };
        Context { trace, span: self.span_id(), sampled: sampler.takes(trace) }
    }

    fn span_id(&self) -> SpanId {
        SpanId(self.ids.borrow_mut().u64(1..))
    }

    fn write(&self, context: Context, headers: &mut HeaderMap) {
        let mut values = self.values.borrow_mut();
        if values.capacity() < LENGTH {
            *values = BytesMut::with_capacity(VALUES);
        }
        values.put_slice(&context.text());
        let value = HeaderValue::from_maybe_shared(values.split().freeze()).expect("hex digits and dashes are a header value");
        headers.insert(&TRACEPARENT, value);
    }

    fn record(&self, span: Span) {
        let mut pending = self.pending.borrow_mut();
        pending.push(span);
        if pending.len() >= CHUNK {
            self.queue.hand_over(std::mem::take(&mut *pending));
        }
    }
}

impl Drop for WorkerTraces {
    fn drop(&mut self) {
        self.flush();
    }
}
