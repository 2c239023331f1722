//! Upstreams: named groups of endpoints, which of them takes a request, and how it is sent there.

use std::sync::Arc;
use std::time::Duration;

use crate::identity::credentials::TokenSource;
use crate::telemetry::metrics::UpstreamHandle;

pub mod connect;
pub mod connections;
pub mod credentials;
pub mod endpoint;
pub mod round_robin;
pub mod send;

pub use connections::Connections;
pub use endpoint::{Endpoint, Endpoints};
pub use round_robin::RoundRobin;
pub use send::{SendError, Sent, outcome, send};

/// How long an upstream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect.
    pub connect: Duration,
    /// From the end of the request to the head of the response.
    pub first_byte: Duration,
    /// For the whole request, to the last byte of the response; None for no limit.
    pub request: Option<Duration>,
    /// Between two pieces of a body.
    pub idle: Duration,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
}

/// A named group of endpoints.
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// Its endpoints, in the order of the configuration.
    pub endpoints: Box<[Arc<Endpoint>]>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Where the gateway's own token for it comes from, if it wants one.
    pub credentials: Option<Arc<TokenSource>>,
    /// The right to count what it answers.
    pub metrics: UpstreamHandle,
    /// Whose turn it is.
    pub turns: RoundRobin,
}

impl Upstream {
    /// The endpoint whose turn it is. None if there is none, or all have weight 0.
    pub fn pick(&self) -> Option<&Arc<Endpoint>> {
        self.turns.pick().and_then(|place| self.endpoints.get(place))
    }
}

/// Upstreams by weight, as a route splits its requests.
pub struct Split {
    upstreams: Box<[Arc<Upstream>]>,
    turns: RoundRobin,
}

impl Split {
    /// Splits by these weights.
    pub fn new(weighted: Vec<(Arc<Upstream>, u32)>) -> Self {
        let turns = RoundRobin::new(&weighted.iter().map(|(_, weight)| *weight).collect::<Vec<_>>());
        Self { upstreams: weighted.into_iter().map(|(upstream, _)| upstream).collect(), turns }
    }

    /// The upstream whose turn it is.
    pub fn pick(&self) -> Option<&Arc<Upstream>> {
        match &*self.upstreams {
            [only] => Some(only),
            several => self.turns.pick().and_then(|place| several.get(place)),
        }
    }
}
