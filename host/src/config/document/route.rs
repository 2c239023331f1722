//! Routes: which requests, through which chain, to which upstream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plugin::OnError;
use super::traffic::{Mirror, Redirect, Rewrite};
use crate::config::units::{Period, Size};

/// Which requests go through which chain to which upstream.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The name in logs, metrics and the admin API.
    pub name: String,
    /// Host names, `*.example.com` for every name below; none for any host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// A request must meet one of these; none for any request.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// Plugins in order on the way in, in reverse on the way out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Step>,
    /// The upstream. Leave out this and `upstreams` when the chain always answers, or where there is a `redirect` or a
    /// `component`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Several upstreams that share the requests by weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<WeightedUpstream>,
    /// A plugin that answers in an upstream's place: a component of `wasi:http`, be it `incoming-handler@0.2` or
    /// `handler@0.3`, as `wasmtime serve`, Spin and wasmCloud run them. Each request has an instance of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Where clients are sent once the chain had its say, instead of going to an upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// What the upstream is asked for instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// Other upstreams that requests with bodies of up to 64 KiB are copied to; two at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirror: Vec<Mirror>,
    /// Protocols that a connection may switch to, such as `websocket`; none unless listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upgrades: Vec<String>,
    /// The largest request body, instead of the listener's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<Size>,
    /// Time limits, instead of the upstream's.
    #[serde(default)]
    pub timeouts: RouteTimeouts,
}

/// Conditions that a request must meet together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteMatch {
    /// The path; left out, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// One of these methods; none for any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Every one of these headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ValueMatch>,
    /// Every one of these query parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<ValueMatch>,
}

/// A condition on the path; exactly one of these.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PathMatch {
    /// The whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The first elements of the path: `/a` matches `/a` and `/a/b`, not `/ab`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A regular expression for the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

/// A condition on a header or a query parameter: its name and exactly one of the others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueMatch {
    /// The name.
    pub name: String,
    /// The whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// A regular expression for the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
    /// Whether it must be there (`true`) or must not (`false`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// One use of a plugin in a chain.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The plugin.
    pub plugin: String,
    /// What the plugin is told; each plugin says what it accepts.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// The name of this use, where a chain has the same plugin twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happens when it faults, instead of the plugin's own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
}

/// An upstream and its share of the requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedUpstream {
    /// The name of the upstream.
    pub name: String,
    /// Its share relative to the others.
    pub weight: u32,
}

/// Time limits of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteTimeouts {
    /// For the whole request, every try included; `0s` for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Period>,
}

// === impl Route ===

impl Route {
    /// The names of the upstreams that its requests or copies of them go to.
    pub fn named_upstreams(&self) -> impl Iterator<Item = &str> {
        let several = self.upstreams.iter().map(|upstream| &upstream.name);
        let mirrors = self.mirror.iter().map(|mirror| &mirror.upstream);
        self.upstream.iter().chain(several).chain(mirrors).map(String::as_str)
    }

    /// The names of the plugins in its chain and at its end.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.chain.iter().map(|step| &step.plugin).chain(&self.component).map(String::as_str)
    }

    /// The path prefix that every request of the route has matched, where its conditions are one with a prefix.
    pub fn only_prefix(&self) -> Option<&str> {
        match &*self.matches {
            [only] => only.path.as_ref()?.prefix.as_deref(),
            _ => None,
        }
    }
}
