//! The file of cases: what is sent and what is there beside the plugin; what is expected of it is in [`expect`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::config::document::{Grant, Isolation, OnError, PluginLimits};
use crate::config::units::Period;

pub mod expect;
pub mod values;

pub use expect::{Answered, Call, Expect, Sent};
pub use values::{Content, Expected, Lines, Text};

/// A file of cases.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// How the plugin is declared, as in `plugins` of the gateway's configuration.
    #[serde(default)]
    pub plugin: Declared,
    /// The configuration of cases that have none of their own.
    #[serde(default)]
    pub config: Option<Value>,
    /// What is there in every case. A case that says one of these things itself says all of that thing.
    #[serde(default)]
    pub given: Given,
    /// The cases.
    pub cases: Vec<Case>,
}

/// How the plugin is declared.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Declared {
    /// How instances are shared between requests.
    pub isolation: Option<Isolation>,
    /// How much it may use.
    pub limits: PluginLimits,
    /// What it may import. Everything, unless this says otherwise.
    pub grants: Option<Vec<Grant>>,
    /// What happens to a request when it faults.
    pub on_error: OnError,
}

/// One case: a request, or several one after the other.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The plugin's configuration.
    #[serde(default)]
    pub config: Option<Value>,
    /// What is there beside it.
    #[serde(default)]
    pub given: Given,
    /// What is sent.
    #[serde(default)]
    pub request: Request,
    /// What the upstream answers.
    #[serde(default)]
    pub upstream: Upstream,
    /// What comes of it.
    #[serde(default)]
    pub expect: Expect,
    /// Several requests instead: they share `kv` and token buckets.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// A request, and what is expected.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// What is sent.
    pub request: Request,
    /// What the upstream answers.
    pub upstream: Upstream,
    /// How long after the request before, as token buckets count it.
    pub after: Option<Period>,
    /// What comes of it.
    pub expect: Expect,
}

/// What there is beside the plugin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Given {
    /// Clients of the gateway, for `keys`.
    pub clients: Vec<Client>,
    /// Tokens by name, for `jwt`: they are signed, and `${token.NAME}` in a request stands for one.
    pub tokens: BTreeMap<String, Token>,
    /// What is in `kv`.
    pub kv: BTreeMap<String, Text>,
    /// What upstreams answer to `http`.
    pub http: Vec<Answer>,
}

/// A client with its keys as they are, not as digests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Its API keys.
    #[serde(default)]
    pub keys: Vec<String>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Its plan.
    #[serde(default)]
    pub plan: Option<String>,
}

/// A token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The name of the issuer that signs it.
    #[serde(default = "main_issuer")]
    pub issuer: String,
    /// Whom it is about.
    #[serde(default)]
    pub subject: String,
    /// What it allows, separated by spaces.
    #[serde(default)]
    pub scope: Option<String>,
    /// What else it claims.
    #[serde(default)]
    pub claims: BTreeMap<String, Value>,
    /// Whether its time is over.
    #[serde(default)]
    pub expired: bool,
    /// Whether somebody else signed it.
    #[serde(default)]
    pub forged: bool,
}

fn main_issuer() -> String {
    "main".into()
}

/// What an upstream answers to the plugin's own call.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The upstream.
    pub upstream: String,
    /// The method that is asked with; any, unless this says which.
    #[serde(default)]
    pub method: Option<String>,
    /// Path and query that are asked for; any, unless this says which.
    #[serde(default)]
    pub path: Option<String>,
    /// Its status.
    #[serde(default = "ok")]
    pub status: u16,
    /// Its headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Lines>,
    /// Its body.
    #[serde(default)]
    pub body: Option<Content>,
    /// Why there is no answer.
    #[serde(default)]
    pub error: Option<NoAnswer>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoAnswer {
    /// No connection.
    Unreachable,
    /// Too late.
    Timeout,
    /// The connection broke.
    Reset,
    /// More than the plugin's limit.
    TooLarge,
}

/// A request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, and its query.
    pub path: String,
    /// Its headers.
    pub headers: BTreeMap<String, Lines>,
    /// Its body.
    pub body: Option<Content>,
    /// Its body as it comes, piece by piece.
    pub chunks: Vec<Content>,
    /// The client's address.
    pub address: std::net::IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
    /// Who was authenticated before the plugin.
    pub client: Option<Identity>,
}

/// Somebody whom a plugin before this one authenticated.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// How: `api-key`, `jwt` …
    #[serde(default = "api_key")]
    pub method: String,
    /// The issuer of its token.
    #[serde(default)]
    pub issuer: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Its plan.
    #[serde(default)]
    pub plan: Option<String>,
    /// The claims of its token.
    #[serde(default)]
    pub claims: Option<BTreeMap<String, Value>>,
}

fn api_key() -> String {
    "api-key".into()
}

/// What the upstream answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: BTreeMap<String, Lines>,
    /// Its body.
    pub body: Option<Content>,
    /// Its body as it comes, piece by piece.
    pub chunks: Vec<Content>,
}

fn ok() -> u16 {
    200
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".into(),
            path: "/".into(),
            headers: BTreeMap::new(),
            body: None,
            chunks: Vec::new(),
            address: std::net::Ipv4Addr::new(192, 0, 2, 1).into(),
            secure: false,
            client: None,
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self { status: ok(), headers: BTreeMap::new(), body: None, chunks: Vec::new() }
    }
}

/// One request of a case.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// What is sent.
    pub request: &'a Request,
    /// What the upstream answers.
    pub upstream: &'a Upstream,
    /// How long after the one before.
    pub after: Option<Period>,
    /// What comes of it.
    pub expect: &'a Expect,
}

impl Case {
    /// Its requests.
    pub fn turns(&self) -> Vec<Turn<'_>> {
        if self.steps.is_empty() {
            return vec![Turn { request: &self.request, upstream: &self.upstream, after: None, expect: &self.expect }];
        }
        self.steps
            .iter()
            .map(|step| Turn { request: &step.request, upstream: &step.upstream, after: step.after, expect: &step.expect })
            .collect()
    }
}
