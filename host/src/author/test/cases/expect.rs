//! What a case expects.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Expected, Lines, Text};

/// What is expected. What is not said is not looked at.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// The request goes on, and the upstream gets this.
    pub next: Option<Sent>,
    /// The plugin answers this in the upstream's place.
    pub respond: Option<Answered>,
    /// The client gets this in the end.
    pub response: Option<Answered>,
    /// The plugin faults, and this is part of what is said of it.
    pub fault: Option<String>,
    /// The configuration is refused, and this is part of what is said of it.
    pub refused: Option<String>,
    /// Parts of lines that are logged, in this order.
    pub logs: Vec<String>,
    /// The plugin's own metrics after the request, by their published names without `gatehouse_plugin_` and the label
    /// `plugin`: `seen_total{kind="a"}`.
    pub metrics: BTreeMap<String, f64>,
    /// What is in `kv` after the request; null for what is not there.
    pub kv: BTreeMap<String, Option<Text>>,
    /// The calls to upstreams that the plugin made, all of them in order.
    pub http: Option<Vec<Call>>,
    /// Who the client is after the plugin.
    pub client: Option<String>,
}

/// A request on its way.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sent {
    /// Its method.
    pub method: Option<String>,
    /// Its path and query.
    pub path: Option<String>,
    /// Its headers; null for those that must not be there.
    pub headers: BTreeMap<String, Option<Lines>>,
    /// Its body.
    pub body: Option<Expected>,
}

/// A response.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Answered {
    /// Its status.
    pub status: Option<u16>,
    /// Its headers; null for those that must not be there.
    pub headers: BTreeMap<String, Option<Lines>>,
    /// Its body.
    pub body: Option<Expected>,
}

/// A call to an upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The upstream.
    pub upstream: String,
    /// Its method.
    #[serde(default)]
    pub method: Option<String>,
    /// Its path and query.
    #[serde(default)]
    pub path: Option<String>,
    /// Its headers; null for those that must not be there.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<Lines>>,
    /// Its body.
    #[serde(default)]
    pub body: Option<Expected>,
}
