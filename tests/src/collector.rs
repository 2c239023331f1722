//! A collector of OpenTelemetry data: an origin that takes OTLP by HTTP and decodes it with OpenTelemetry's own types.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1,
};
use prost::Message;

use crate::{
    origin::{Answer, Origin, Recorded},
    wire::eventually,
};

/// A collector on a port of its own.
pub struct Collector {
    origin: Origin,
}

/// A span as the collector got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace, in hex.
    pub trace: String,
    /// Its own id, in hex.
    pub id: String,
    /// Its parent's, in hex; empty for none.
    pub parent: String,
    /// The `tracestate` it came with.
    pub state: String,
    /// Its name.
    pub name: String,
    /// `server`, `client`, `internal` …
    pub kind: &'static str,
    /// `ok`, `error` or `unset`.
    pub status: &'static str,
    /// When it began, in nanoseconds of Unix time.
    pub start: u64,
    /// When it was over.
    pub end: u64,
    /// What is said of it.
    pub attributes: BTreeMap<String, String>,
    /// What is said of whoever sent it.
    pub resource: BTreeMap<String, String>,
}

impl Collector {
    /// Starts a collector that takes everything.
    pub async fn start() -> Self {
        Self::answering(|_| Answer::new(200, &[("content-type", "application/x-protobuf")], "")).await
    }

    /// Starts a collector that answers as the script says.
    pub async fn answering(script: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        Self { origin: Origin::start(script).await }
    }

    /// Its base URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.origin.url()
    }

    /// What was sent to it, as it came.
    #[must_use]
    pub fn posts(&self) -> Vec<Recorded> {
        self.origin.requests()
    }

    /// The spans so far.
    ///
    /// # Panics
    /// When something came that is not OTLP.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.posts().iter().filter(|post| post.whole).flat_map(|post| decode(&post.body)).collect()
    }

    /// Waits until there are so many spans.
    pub async fn wait_for(&self, spans: usize) -> Vec<Span> {
        eventually("spans at the collector", || self.spans().len() >= spans).await;
        self.spans()
    }
}

impl Span {
    /// An attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }

    /// Whether it happened while another did.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other.start <= self.start && self.start <= self.end && self.end <= other.end
    }
}

fn decode(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let resources = request.resource_spans.into_iter();
    let spans = resources.flat_map(|from| {
        let resource = attributes(&from.resource.as_ref().map(|resource: &Resource| resource.attributes.clone()).unwrap_or_default());
        from.scope_spans.into_iter().flat_map(|scope| scope.spans).map(move |span| read(&span, &resource))
    });
    spans.collect()
}

fn read(span: &v1::Span, resource: &BTreeMap<String, String>) -> Span {
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        state: span.trace_state.clone(),
        name: span.name.clone(),
        kind: match span.kind() {
            v1::span::SpanKind::Server => "server",
            v1::span::SpanKind::Client => "client",
            v1::span::SpanKind::Internal => "internal",
            _ => "other",
        },
        status: match span.status.as_ref().map(v1::Status::code) {
            Some(v1::status::StatusCode::Ok) => "ok",
            Some(v1::status::StatusCode::Error) => "error",
            Some(v1::status::StatusCode::Unset) | None => "unset",
        },
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: attributes(&span.attributes),
        resource: resource.clone(),
    }
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let attributes: BTreeMap<_, _> = pairs.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref()))).collect();
    assert_eq!(attributes.len(), pairs.len(), "no attribute occurs twice: {pairs:?}");
    attributes
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(","),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
