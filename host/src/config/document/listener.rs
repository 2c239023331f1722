//! What the gateway as a whole listens on, logs to and how it stops.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::text::{Address, Cidr, LogTarget};
use crate::config::units::{Percent, Period, Size};

/// One address that clients connect to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The name in logs and metrics.
    pub name: String,
    /// The IP address and port to bind.
    pub address: Address,
    /// Serve HTTPS with these certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Accept HTTP/2, by ALPN under TLS and by prior knowledge without.
    #[serde(default = "yes")]
    pub http2: bool,
    /// Networks whose `Forwarded` and `X-Forwarded-*` headers are believed.
    #[serde(default)]
    pub trusted_proxies: Vec<Cidr>,
    /// Whether the trusted proxies send the PROXY protocol's header (version 1 or 2) first. From them it is required
    /// then, and from others never believed.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// The gateway's own name in `Via`.
    #[serde(default = "via")]
    pub via: String,
    /// How large a request may be.
    #[serde(default)]
    pub limits: ListenerLimits,
    /// How long a client may take.
    #[serde(default)]
    pub timeouts: ListenerTimeouts,
}

/// The certificates of a listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Chosen by the server name that the client asks for; the first is the default.
    pub certificates: Vec<Certificate>,
    /// Ask clients for certificates (mTLS). Upstreams and plugins see a verified one in `x-forwarded-client-cert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
}

/// Which clients' certificates are verified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// A PEM file of the authorities that sign clients' certificates.
    pub ca: PathBuf,
    /// Whether a client may come without one.
    #[serde(default)]
    pub mode: ClientAuthMode,
}

/// Whether a client may come without a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMode {
    /// It may not.
    #[default]
    Required,
    /// It may; one that is shown has to be good all the same.
    Optional,
}

/// A certificate chain and its private key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// A PEM file with the chain, the server's certificate first.
    pub cert: PathBuf,
    /// A PEM file with the private key.
    pub key: PathBuf,
}

/// How large a request may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerLimits {
    /// All header names and values together.
    pub header_bytes: Size,
    /// The number of header lines.
    pub headers: u32,
    /// The body, unless a route says otherwise.
    pub body: Size,
}

/// How long a client may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerTimeouts {
    /// To send a complete request head.
    pub header: Period,
    /// To start the next request on a kept connection.
    pub idle: Period,
    /// Between two pieces of a body.
    pub body: Period,
}

/// The admin API and dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The IP address and port to bind; one that is not a loopback address needs `tls`.
    pub address: Address,
    /// Serve HTTPS with these certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// How much of the history of changes stays.
    pub keep: History,
}

/// How much of the history of changes stays; the oldest goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// Revisions with what changed: as far as one can go back.
    #[schemars(range(min = 1, max = 1000))]
    pub revisions: u32,
    /// Entries of the audit log.
    #[schemars(range(min = 100))]
    pub audit: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { revisions: 100, audit: 50_000 }
    }
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLog {
    /// `stdout`, `stderr`, `off` or the path of a file.
    pub to: LogTarget,
    /// The share of the lines that say how long each plugin took.
    pub plugin_times: Percent,
}

/// How the gateway stops on SIGTERM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// How long it still accepts connections after it has reported itself not ready.
    pub ready_delay: Period,
    /// How long requests in flight may take after that.
    pub deadline: Period,
}

impl Listener {
    /// A listener with every setting at its default.
    pub fn new(name: impl Into<String>, address: SocketAddr) -> Self {
        Listener {
            name: name.into(),
            address: Address(address),
            tls: None,
            http2: true,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            via: via(),
            limits: ListenerLimits::default(),
            timeouts: ListenerTimeouts::default(),
        }
    }
}

impl Default for ListenerLimits {
    fn default() -> Self {
        ListenerLimits { header_bytes: Size::kib(32), headers: 100, body: Size::mib(10) }
    }
}

impl Default for ListenerTimeouts {
    fn default() -> Self {
        ListenerTimeouts { header: Period::secs(10), idle: Period::secs(75), body: Period::secs(60) }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Admin { address: Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 9080))), tls: None, keep: History::default() }
    }
}

impl Default for AccessLog {
    fn default() -> Self {
        AccessLog { to: LogTarget::Stdout, plugin_times: Percent::of(100.0) }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Drain { ready_delay: Period::secs(10), deadline: Period::secs(60) }
    }
}

fn yes() -> bool {
    true
}

fn via() -> String {
    "gatehouse".into()
}
