//! Spans as OTLP has them, built where something is recorded and nowhere else.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::context::{Context, SpanId};

/// Bit 8 says that bit 9 means something, and bit 9 that the parent is in another process (OTLP's `SpanFlags`).
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// One look at the wall clock, so that all spans of a request agree and later ones need no other.
#[derive(Clone, Copy)]
pub struct Timeline {
    instant: Instant,
    unix_nanos: u64,
}

/// A span that is being filled in.
pub struct Draft(Span);

// === impl Timeline ===

impl Timeline {
    /// The wall clock as it is now.
    pub fn now() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix_nanos: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// A moment as nanoseconds of Unix time.
    fn at(&self, moment: Instant) -> u64 {
        let nanos = |from: Instant, to: Instant| u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX);
        self.unix_nanos.saturating_add(nanos(self.instant, moment)).saturating_sub(nanos(moment, self.instant))
    }
}

// === impl Draft ===

impl Draft {
    /// A span of this kind.
    pub fn new(context: Context, parent: Option<SpanId>, kind: SpanKind, name: String) -> Self {
        Self(Span {
            trace_id: context.trace.bytes().into(),
            span_id: context.span.0.to_be_bytes().into(),
            parent_span_id: parent.map(|parent| parent.0.to_be_bytes().into()).unwrap_or_default(),
            flags: u32::from(context.sampled) | HAS_IS_REMOTE,
            name,
            kind: kind.into(),
            ..Span::default()
        })
    }

    /// Its parent is another process's, which sent this `tracestate` along.
    pub fn remote(mut self, state: String) -> Self {
        self.0.flags |= IS_REMOTE;
        self.0.trace_state = state;
        self
    }

    /// Makes room for so many attributes.
    pub fn room(mut self, attributes: usize) -> Self {
        self.0.attributes.reserve_exact(attributes);
        self
    }

    /// Adds an attribute with something to say.
    pub fn text(mut self, key: &str, text: impl Into<String>) -> Self {
        self.attribute(key, Value::StringValue(text.into()));
        self
    }

    /// Adds an attribute if there is a value for it.
    pub fn maybe(self, key: &str, text: Option<impl Into<String>>) -> Self {
        match text {
            Some(text) => self.text(key, text),
            None => self,
        }
    }

    /// Adds a number.
    pub fn number(mut self, key: &str, number: impl Into<i64>) -> Self {
        self.attribute(key, Value::IntValue(number.into()));
        self
    }

    /// Adds a list, unless it is empty.
    pub fn list<'a>(mut self, key: &str, texts: impl Iterator<Item = &'a str>) -> Self {
        let values: Vec<_> = texts.map(|text| AnyValue { value: Some(Value::StringValue(text.into())) }).collect();
        if !values.is_empty() {
            self.attribute(key, Value::ArrayValue(ArrayValue { values }));
        }
        self
    }

    /// Marks it as failed, for this reason, if there is one.
    pub fn failed(mut self, reason: Option<impl Into<String>>) -> Self {
        let Some(reason) = reason else { return self };
        self.0.status = Some(Status { code: StatusCode::Error.into(), message: String::new() });
        self.text("error.type", reason)
    }

    /// The whole span.
    pub fn between(mut self, timeline: &Timeline, start: Instant, end: Instant) -> Span {
        self.0.start_time_unix_nano = timeline.at(start);
        self.0.end_time_unix_nano = timeline.at(end);
        self.0
    }

    fn attribute(&mut self, key: &str, value: Value) {
        self.0.attributes.push(KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() });
    }
}

/// The method as an attribute has it; what is not registered was made up by a client.
pub fn method(draft: Draft, method: &str) -> Draft {
    match crate::telemetry::metrics::Method::of(method).as_str() {
        known if known == method => draft.text("http.request.method", known),
        other => draft.text("http.request.method", other).text("http.request.method_original", method),
    }
}

/// The method as a span's name has it.
pub fn method_name(method: &str) -> &str {
    let known = crate::telemetry::metrics::Method::of(method).as_str();
    if known == method { known } else { "HTTP" }
}

/// `host:port` as two attributes; a host alone as one.
pub fn server(draft: Draft, authority: &str) -> Draft {
    let (host, port) = match authority.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) => (host, Some(port)),
        _ => (authority, None),
    };
    let draft = draft.text("server.address", host.trim_start_matches('[').trim_end_matches(']'));
    match port {
        Some(port) => draft.number("server.port", port),
        None => draft,
    }
}
