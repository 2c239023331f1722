//! What the gateway tells others of itself: traces and metrics.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Percent, Period};

/// Traces and metrics.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// Spans of requests, sent to a collector; left out, the gateway does not trace and `traceparent` passes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<Traces>,
    /// What `/metrics` shows.
    pub metrics: MetricsSettings,
}

/// Spans of requests, sent to a collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// The collector.
    pub otlp: Otlp,
    /// The share of the traces that begin here which are recorded. A trace that a client began is recorded if the client says so.
    #[serde(default = "one_percent")]
    pub sample: Percent,
    /// The `service.name` of the gateway.
    #[serde(default = "service_name")]
    pub service_name: String,
    /// Whose `traceparent` is believed.
    #[serde(default)]
    pub trust_parent: TrustParent,
}

/// A collector of OpenTelemetry data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// Its base URL, such as `http://127.0.0.1:4318`; `/v1/traces` is added unless it ends so.
    pub endpoint: String,
    /// Headers to send along, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How it is spoken to.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// How long one export may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Period,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OtlpProtocol {
    /// Protobuf in POST requests.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Whose `traceparent` is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustParent {
    /// Everybody's: clients decide about the traces that they begin.
    #[default]
    Always,
    /// That of the listener's `trusted_proxies`; any other request begins a trace here.
    Proxies,
    /// Nobody's: every request begins a trace here.
    Never,
}

/// What `/metrics` shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// The most series of routes, upstreams and plugins together; what comes later is counted as `other`.
    pub series: u32,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        MetricsSettings { series: 60_000 }
    }
}

fn one_percent() -> Percent {
    Percent::of(1.0)
}

fn ten_seconds() -> Period {
    Period::secs(10)
}

fn service_name() -> String {
    "gatehouse".into()
}
