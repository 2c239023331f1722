//! The plugin host: from the bytes of a component to a call on a request's path. Knows nothing of HTTP
//! connections, routes or upstreams; it is handed a request's data and hands back a checked verdict.
//!
//! In reading order: what a plugin may do ([`Limits`], [`Grants`]), how its bytes become code ([`engine`],
//! [`inspect`], [`compile`], [`load`]), how code becomes instances ([`usage`], [`pool`], [`instance`]), what may
//! go wrong ([`fault`], [`breaker`]), and what guests may ask of the host ([`capability`]).

use std::sync::Arc;
use std::time::Duration;

#[expect(missing_docs, reason = "generated; the documentation is in wit/")]
#[expect(clippy::all, reason = "generated")]
pub mod bindings;
pub mod breaker;
pub mod builtin;
pub mod capability;
pub mod compile;
pub mod engine;
pub mod fault;
pub mod inspect;
pub mod instance;
pub mod kind;
pub mod load;
pub mod maker;
pub mod media_type;
pub mod meter;
pub mod needs;
pub mod pool;
pub mod proxy_wasm;
pub mod section;
pub mod state;
pub mod tally;
pub mod usage;
pub mod verdict;
pub mod wasi;
pub mod wasi_http;

pub use fault::{Fault, Reason};
pub use kind::Kind;
pub use load::{Loader, Refusal};
pub use needs::{BodyMode, Needs};
pub use state::{Call, Services};
pub use usage::Usage;

/// What one plugin may consume. Every limit has a default and a hostile guest in `tests/guests` that meets it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Bytes of linear memory of one instance, all its memories together.
    pub memory: usize,
    /// Elements of all tables of one instance.
    pub table_elements: usize,
    /// CPU time of one call. Looked at every 4 ms, and every millisecond in a call that goes on, so one may run up to
    /// 8 ms longer.
    pub cpu: Duration,
    /// Wall time of one call that waits for the network.
    pub wall: Duration,
    /// Calls from the guest into the host, in one call of the guest.
    pub host_calls: u32,
    /// Bytes of log lines in one call; what goes past it is dropped and counted.
    pub log_bytes: usize,
    /// Bytes of a reply: status line, headers and body.
    pub reply_bytes: usize,
    /// Bytes in the plugin's key-value store.
    pub kv_bytes: usize,
    /// Bytes of one response body that the plugin fetches.
    pub fetch_bytes: usize,
    /// Bytes of a body that a Proxy-Wasm filter has the gateway hold, while it waits for more of it or for something else.
    pub held_bytes: usize,
    /// Instances alive at one time, over all workers.
    pub instances: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            table_elements: 10_000,
            cpu: Duration::from_millis(10),
            wall: Duration::from_secs(1),
            host_calls: 1_000,
            log_bytes: 4 << 10,
            reply_bytes: 1 << 20,
            kv_bytes: 1 << 20,
            fetch_bytes: 1 << 20,
            held_bytes: 1 << 20,
            instances: 128,
        }
    }
}

impl Limits {
    /// What a component of this kind has where nothing is configured. Other people's components answer a request all by
    /// themselves, and many bring a language's whole runtime along.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Plugin => Self::default(),
            Kind::ProxyWasm(_) => proxy_wasm::default_limits(),
            Kind::Proxy | Kind::Service | Kind::Middleware => Self {
                memory: 128 << 20,
                table_elements: 100_000,
                cpu: Duration::from_secs(1),
                wall: Duration::from_secs(30),
                ..Self::default()
            },
        }
    }
}

/// How long an instance lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// One request each: nothing a request left in memory is ever seen by another.
    Request,
    /// Many requests, one after the other, on one worker.
    Reuse,
}

impl Isolation {
    /// What is taken where nothing is configured. An instance for each request is dear where an interpreter has to be
    /// copied for it, so components that large are used again.
    pub fn default_for(component_bytes: usize) -> Self {
        match starts_slowly(component_bytes) {
            true => Isolation::Reuse,
            false => Isolation::Request,
        }
    }
}

/// Whether a component of this size brings an interpreter, and so takes a noticeable time to instantiate. JavaScript's
/// are of 1.1 MB and more, Python's of 18 MB; compiled languages stay below.
pub fn starts_slowly(component_bytes: usize) -> bool {
    component_bytes >= 1 << 20
}

/// What happens to a request whose plugin faulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnError {
    /// 503 with the fault's reason.
    Closed,
    /// The chain goes on as if the plugin were not in it.
    Skip,
    /// The version before this one is asked; where there is none, as `Closed`.
    Previous,
}

/// Upstreams that a plugin may call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HttpGrant {
    /// None: the interface cannot be linked.
    Denied,
    /// Those named.
    Named(Arc<[String]>),
    /// Any configured upstream. Only for built-in plugins, whose configuration names them.
    Any,
}

impl HttpGrant {
    /// Whether a call to this upstream is granted.
    pub fn allows(&self, upstream: &str) -> bool {
        match self {
            HttpGrant::Denied => false,
            HttpGrant::Named(names) => names.iter().any(|name| name == upstream),
            HttpGrant::Any => true,
        }
    }
}

/// The capabilities a plugin was granted. What is not here cannot even be linked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grants {
    /// Interfaces by name: `log kv jwt introspection keys rate-limit metrics`.
    pub interfaces: Arc<[Capability]>,
    /// `http`, with the upstreams it is for.
    pub http: HttpGrant,
    /// Whether `set-client` is allowed.
    pub identity: bool,
}

impl Grants {
    /// Nothing at all.
    pub fn none() -> Self {
        Self { interfaces: Arc::new([]), http: HttpGrant::Denied, identity: false }
    }

    /// Everything: for the plugins that come with the gateway.
    pub fn all() -> Self {
        Self { interfaces: Arc::new(Capability::ALL), http: HttpGrant::Any, identity: true }
    }

    /// What a component of this kind has where nothing is configured: a Proxy-Wasm filter what stays within the gateway, as
    /// such modules import all there is, and cannot be asked what they need.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::ProxyWasm(_) => proxy_wasm::default_grants(),
            Kind::Plugin | Kind::Proxy | Kind::Service | Kind::Middleware => Self::none(),
        }
    }

    /// Whether this capability may be linked.
    pub fn allow(&self, capability: Capability) -> bool {
        match capability {
            Capability::Http => self.http != HttpGrant::Denied,
            other => self.interfaces.contains(&other),
        }
    }
}

/// One interface of the host, by its name in `wit/` and in `grants`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Log lines.
    Log,
    /// Key-value store.
    Kv,
    /// Token verification.
    Jwt,
    /// Questions to issuers about opaque tokens.
    Introspection,
    /// API key look-up.
    Keys,
    /// Token buckets.
    RateLimit,
    /// HTTP calls to upstreams.
    Http,
    /// Metrics of the plugin's own.
    Metrics,
}

impl Capability {
    /// All of them, in the order of the documentation.
    pub const ALL: [Capability; 8] = [
        Capability::Log,
        Capability::Kv,
        Capability::Jwt,
        Capability::Introspection,
        Capability::Keys,
        Capability::RateLimit,
        Capability::Http,
        Capability::Metrics,
    ];

    /// The name in `wit/` and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Capability::Log => "log",
            Capability::Kv => "kv",
            Capability::Jwt => "jwt",
            Capability::Introspection => "introspection",
            Capability::Keys => "keys",
            Capability::RateLimit => "rate-limit",
            Capability::Http => "http",
            Capability::Metrics => "metrics",
        }
    }

    /// The capability of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }
}
