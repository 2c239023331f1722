//! The tries of one exchange with an upstream, each a span of its own. Each try tells the upstream its own span, so that
//! what the upstream records hangs below the try that caused it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use http::{HeaderMap, Method, Request};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::WorkerTraces;
use super::context::{Context, SpanId};
use super::span::{Draft, Timeline, method, method_name, server};

/// Where a request goes next.
#[derive(Clone, Copy)]
pub struct Hop<'a> {
    /// The upstream's name.
    pub upstream: &'a str,
    /// Host and port of the endpoint.
    pub authority: &'a str,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// What is asked, and of whom.
struct Exchange {
    method: Method,
    /// `http://host:port/path`, without a query: its values may be secrets.
    url: String,
    authority: Box<str>,
    upstream: Box<str>,
}

/// The tries of one exchange that is recorded.
pub struct Tries {
    worker: Rc<WorkerTraces>,
    timeline: Timeline,
    parent: Context,
    exchange: Exchange,
    /// How often it was sent before.
    resent: Cell<u32>,
    /// The try that is under way.
    current: Cell<Option<(SpanId, Instant)>>,
}

// === impl Tries ===

impl Tries {
    /// Begins the first try, below this span, and tells the next hop of it.
    pub(super) fn begin<B>(
        worker: &Rc<WorkerTraces>,
        timeline: Timeline,
        parent: Context,
        hop: Hop<'_>,
        request: &mut Request<B>,
        now: Instant,
    ) -> Box<Self> {
        let (exchange, resent, current) = (Exchange::new(hop, request), Cell::new(0), Cell::new(None));
        let tries = Self { worker: Rc::clone(worker), timeline, parent, exchange, resent, current };
        tries.next(request.headers_mut(), now);
        Box::new(tries)
    }

    /// The try under way came to nothing that could be used, and the request is sent once more.
    pub fn again(&self, outcome: Result<u16, &'static str>, headers: &mut HeaderMap) {
        let now = Instant::now();
        self.end(outcome, now);
        self.resent.set(self.resent.get() + 1);
        self.next(headers, now);
    }

    /// The request is sent once more, to this hop; the try before has ended.
    pub fn resume<B>(&mut self, hop: Hop<'_>, request: &mut Request<B>, now: Instant) {
        self.exchange = Exchange::new(hop, request);
        self.resent.set(self.resent.get() + 1);
        self.next(request.headers_mut(), now);
    }

    /// Begins another try beside the one under way.
    pub fn fork<B>(&self, hop: Hop<'_>, request: &mut Request<B>, now: Instant) -> Box<Self> {
        let (exchange, resent, current) = (Exchange::new(hop, request), Cell::new(self.resent.get() + 1), Cell::new(None));
        let tries = Self { worker: Rc::clone(&self.worker), timeline: self.timeline, parent: self.parent, exchange, resent, current };
        tries.next(request.headers_mut(), now);
        Box::new(tries)
    }

    /// The try under way ended with this status, or for this reason without one.
    pub fn end(&self, outcome: Result<u16, &'static str>, now: Instant) {
        let Some((span, began)) = self.current.take() else { return };
        let draft = tell(outcome, self.exchange.tell(self.draft(span)));
        self.worker.record(draft.between(&self.timeline, began, now));
    }

    fn next(&self, headers: &mut HeaderMap, now: Instant) {
        let span = self.worker.span_id();
        self.worker.write(self.parent.with_span(span), headers);
        self.current.set(Some((span, now)));
    }

    fn draft(&self, span: SpanId) -> Draft {
        let name = method_name(self.exchange.method.as_str()).to_owned();
        let draft = Draft::new(self.parent.with_span(span), Some(self.parent.span), SpanKind::Client, name).room(9);
        match self.resent.get() {
            0 => draft,
            resent => draft.number("http.request.resend_count", resent),
        }
    }
}

impl Drop for Tries {
    /// Whoever waited went away.
    fn drop(&mut self) {
        if self.current.get().is_some() {
            self.end(Err("cancelled"), Instant::now());
        }
    }
}

// === impl Exchange ===

impl Exchange {
    fn new<B>(hop: Hop<'_>, request: &Request<B>) -> Self {
        let scheme = if hop.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}{}", hop.authority, request.uri().path());
        Self { method: request.method().clone(), url, authority: hop.authority.into(), upstream: hop.upstream.into() }
    }

    fn tell(&self, draft: Draft) -> Draft {
        server(method(draft, self.method.as_str()), &self.authority)
            .text("url.full", self.url.as_str())
            .text("network.protocol.version", "1.1")
            .text("gatehouse.upstream", &*self.upstream)
    }
}

/// To whoever asked, any status from 400 on is a failure (OpenTelemetry's HTTP conventions).
fn tell(outcome: Result<u16, &'static str>, draft: Draft) -> Draft {
    match outcome {
        Ok(status) => draft.number("http.response.status_code", status).failed((status >= 400).then(|| status.to_string())),
        Err(reason) => draft.failed(Some(reason)),
    }
}
