//! What becomes of a route's requests besides going to its upstream: redirects, rewrites and copies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Percent;

/// Where clients are sent instead. What is left out stays as it was asked for; the query always does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redirect {
    /// `http` or `https`. It comes with its default port unless `port` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Another host. It comes with the default port unless `port` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Another port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// In place of the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// In place of the prefix that the route matches by; it must match by exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// How the URL of a redirect begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// What the upstream is asked for instead, after the chain had its say. The query stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rewrite {
    /// Another `Host`, with a port if need be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// In place of the whole path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// In place of the prefix that the route matches by; it must match by exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// Another upstream that requests are copied to. Nobody reads its answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The name of the upstream.
    pub upstream: String,
    /// The share of the requests that is copied.
    #[serde(default = "all")]
    pub percent: Percent,
}

fn all() -> Percent {
    Percent::of(100.0)
}

impl Default for Redirect {
    fn default() -> Self {
        Redirect { scheme: None, host: None, port: None, path: None, prefix: None, status: 302 }
    }
}
