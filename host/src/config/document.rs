//! The config document as plain data: what a user may write, with its defaults.
//! The doc comments are the descriptions of the JSON Schema. Nothing here runs.

mod identity;
mod listener;
mod plugin;
mod route;
mod telemetry;
mod traffic;
mod upstream;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use identity::{Algorithm, Client, ClientKey, Identity, Introspection, Issuer, Jwks, Secret};
pub use listener::{
    AccessLog, Admin, Certificate, ClientAuth, ClientAuthMode, Drain, History, Listener, ListenerLimits, ListenerTimeouts, Tls,
};
pub use plugin::{Grant, Isolation, Oci, OciArtifact, OnError, Plugin, PluginLimits, PluginSource, RegistryAuth, SignaturePolicy};
pub use route::{PathMatch, Route, RouteMatch, RouteTimeouts, Step, ValueMatch, WeightedUpstream};
pub use telemetry::{MetricsSettings, Otlp, OtlpProtocol, Telemetry, Traces, TrustParent};
pub use traffic::{Mirror, Redirect, Rewrite, Scheme};
pub use upstream::{
    ActiveHealth, Algorithm as BalanceAlgorithm, Balance, CircuitBreaker, ClientCredentials, Discovery, DnsDiscovery, DnsRecord, Endpoint,
    EtcdDiscovery, Health, Outlier, Protocol, RegisterDiscovery, Retry, RetryOn, Upstream, UpstreamAuth, UpstreamTimeouts, UpstreamTls,
};

/// The whole configuration of one gateway.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    /// Where clients connect. Without any, one listener named `default` on 127.0.0.1:8080.
    pub listeners: Vec<Listener>,
    /// The admin API and dashboard; left out, there is none unless the command line asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
    /// One JSON line for each request.
    pub access_log: AccessLog,
    /// How the gateway stops.
    pub drain: Drain,
    /// Traces and metrics.
    pub telemetry: Telemetry,
    /// Named groups of endpoints that requests are sent to.
    pub upstreams: Vec<Upstream>,
    /// Who signs or vouches for bearer tokens.
    pub issuers: Vec<Issuer>,
    /// How credentials are kept.
    pub identity: Identity,
    /// The API clients and their keys.
    pub clients: Vec<Client>,
    /// Plugins and their settings. A built-in plugin needs no entry, nor does one that was uploaded: it has no grants then.
    pub plugins: Vec<Plugin>,
    /// Which plugins have to be signed, and by whom. Built-in plugins come with the gateway and are not asked.
    pub plugin_signatures: Vec<SignaturePolicy>,
    /// Which requests go through which chain to which upstream.
    pub routes: Vec<Route>,
}
