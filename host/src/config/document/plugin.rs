//! Plugins: where a component comes from, what it may do and how much.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::config::text::PublicKey;
use crate::config::units::{Period, Size};

/// A plugin and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// The name that chains use. A built-in's name changes the settings of that built-in.
    pub name: String,
    /// Where the component is; left out for a built-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PluginSource>,
    /// How instances are shared between requests. Left out, it is `request` for a user's plugin, and `reuse` for a built-in
    /// and for a component of 1 MiB or more: those bring an interpreter, which takes long to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// How much it may use.
    #[serde(default)]
    pub limits: PluginLimits,
    /// The capabilities it may import; left out, a built-in keeps its own and a user's plugin has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<Grant>>,
    /// Environment variables of a component of `wasi:http`, which is told nothing else. A plugin of the gateway's own
    /// contract has a configuration instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What happens to a request when it faults.
    #[serde(default)]
    pub on_error: OnError,
}

/// Where a component is; exactly one of these.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSource {
    /// A `.wasm` file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// An artifact in an OCI registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,
    /// Whatever was uploaded through the admin API: `gatehouse plugin push`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub uploaded: bool,
}

/// Plugins that have to be signed. A component of theirs without a signature by one of the keys is refused, be it a file
/// (with its signature in `FILE.sig`) or an upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignaturePolicy {
    /// The names of the plugins; `*` stands for any letters.
    pub names: String,
    /// The public keys, each enough on its own.
    pub keys: Vec<PublicKey>,
}

/// An artifact in an OCI registry: its reference alone, or with how it is had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Oci {
    /// `REGISTRY/NAME@sha256:…` or `REGISTRY/NAME:TAG`.
    Reference(String),
    /// The same, with settings.
    Artifact(OciArtifact),
}

/// An artifact in an OCI registry and how it is had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OciArtifact {
    /// `REGISTRY/NAME@sha256:…`, which is pulled once, or `REGISTRY/NAME:TAG`, which is looked up again and again.
    pub reference: String,
    /// Who asks, where the registry wants to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<RegistryAuth>,
    /// How often a tag is looked up again.
    #[serde(default = "minute")]
    pub refresh: Period,
    /// Whether to speak plain HTTP: left out, to a registry on this machine only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// A PEM file of the authorities to trust, instead of the system's. With one the registry is spoken to in HTTPS, even on
    /// this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// Credentials for a registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryAuth {
    /// The name of the account.
    pub username: String,
    /// Its password, or a token that stands for it.
    pub password: Secret,
}

fn minute() -> Period {
    Period::secs(60)
}

/// How instances are shared between requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A new instance for each request.
    Request,
    /// An instance serves many requests, one after the other.
    Reuse,
}

/// How much a plugin may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginLimits {
    /// Linear memory of one instance: 32MiB, 128MiB for a component of `wasi:http` and 256MiB for a Proxy-Wasm filter, unless a built-in has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Table elements of one instance: 10000, and 100000 for a component of `wasi:http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// Computing time of one call: 10ms, 50ms for a callback of a Proxy-Wasm filter, and 1s for all that a component of `wasi:http` does for one request, unless a
    /// built-in has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Period>,
    /// Elapsed time of one call, waiting included: 1s, unless a built-in has its own default. A component of `wasi:http` has
    /// 30s to the head of its answer, as long again for each piece of the body, and for what it does after the last. A call of a
    /// Proxy-Wasm filter to an upstream has 10s, and a request that it pauses waits for twice as long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall: Option<Period>,
    /// Calls to capabilities in one call.
    pub host_calls: u32,
    /// Log text of one call.
    pub log: Size,
    /// The body of a reply it makes: 1MiB, unless a built-in has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<Size>,
    /// Everything it keeps in `kv`.
    pub kv: Size,
    /// The body of one fetched response: 1MiB, unless a built-in has its own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetch: Option<Size>,
    /// What the gateway holds of a body for a Proxy-Wasm filter that waits for more of it, or for something else: 1MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Size>,
    /// Instances at a time on one worker.
    pub instances: u32,
}

/// A capability that a plugin may import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Write to the gateway's log.
    Log,
    /// Keep small values for a while.
    Kv,
    /// Have bearer tokens verified.
    Jwt,
    /// Have issuers asked about opaque tokens.
    Introspection,
    /// Look up API keys.
    Keys,
    /// Take from token buckets.
    RateLimit,
    /// Send requests to these upstreams.
    Http(Vec<String>),
    /// Count and measure.
    Metrics,
    /// State who the client is.
    Identity,
}

/// What happens to a request when a plugin faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is answered with 503.
    #[default]
    Closed,
    /// It goes on without the plugin.
    Skip,
    /// The version before this one is asked.
    Previous,
}

impl Plugin {
    /// A plugin with every setting at its default.
    pub fn new(name: impl Into<String>) -> Self {
        Plugin {
            name: name.into(),
            source: None,
            isolation: None,
            limits: PluginLimits::default(),
            grants: None,
            env: BTreeMap::new(),
            on_error: OnError::default(),
        }
    }
}

impl Oci {
    /// The reference.
    pub fn reference(&self) -> &str {
        match self {
            Oci::Reference(reference) => reference,
            Oci::Artifact(artifact) => &artifact.reference,
        }
    }

    /// The credentials, if there are any.
    pub fn auth(&self) -> Option<&RegistryAuth> {
        match self {
            Oci::Reference(_) => None,
            Oci::Artifact(artifact) => artifact.auth.as_ref(),
        }
    }

    /// How often a tag is looked up again.
    pub fn refresh(&self) -> Period {
        match self {
            Oci::Reference(_) => minute(),
            Oci::Artifact(artifact) => artifact.refresh,
        }
    }

    /// Whether to speak plain HTTP, where that is said.
    pub fn insecure(&self) -> Option<bool> {
        match self {
            Oci::Reference(_) => None,
            Oci::Artifact(artifact) => artifact.insecure,
        }
    }

    /// The authorities to trust instead of the system's, where that is said.
    pub fn ca(&self) -> Option<&Path> {
        match self {
            Oci::Reference(_) => None,
            Oci::Artifact(artifact) => artifact.ca.as_deref(),
        }
    }
}

impl Default for PluginLimits {
    fn default() -> Self {
        PluginLimits {
            memory: None,
            table: None,
            cpu: None,
            wall: None,
            host_calls: 1000,
            log: Size::kib(4),
            reply: None,
            kv: Size::mib(1),
            fetch: None,
            body: None,
            instances: 64,
        }
    }
}
