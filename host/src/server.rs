//! The data path, from a listening socket to the last byte of a response. To read it, begin with [`request`]: the life
//! of one request from top to bottom.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub mod client_certificate;
pub mod component;
pub mod connection;
pub mod finish;
pub mod forwarded;
pub mod grpc;
pub mod head_guard;
pub mod hop_by_hop;
pub mod listen;
pub mod mirror;
pub mod proxy_protocol;
pub mod redirect;
pub mod request;
pub mod rewrite;
pub mod target;
pub mod tls;
pub mod tunnel;
pub mod upgrade;

pub use connection::Connection;
pub use finish::Answer;

/// What a listener allows and believes. Connections keep the one they were accepted under.
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// TLS, where it has it.
    pub tls: Option<tls::Tls>,
    /// Its certificates: the file, and when it ends to be valid, in seconds of Unix time.
    pub certificates: Vec<(String, i64)>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Proxies whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Whether those proxies say by the PROXY protocol who connects.
    pub proxy_protocol: bool,
    /// The gateway's name in `Via`.
    pub pseudonym: forwarded::Pseudonym,
    /// Limits on heads.
    pub heads: head_guard::Limits,
    /// The largest request body, unless the route says otherwise.
    pub max_body: u64,
    /// The longest pause in a request body.
    pub body_stall: Duration,
}
