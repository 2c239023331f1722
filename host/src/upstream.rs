//! Upstreams: named groups of endpoints, which of them takes a request, and how it is sent there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::body::{BodyError, Passage};
use crate::identity::credentials::TokenSource;
use crate::telemetry::metrics::UpstreamHandle;

pub mod balance;
pub mod caps;
pub mod circuit;
pub mod connect;
pub mod connections;
pub mod credentials;
pub mod discovery;
pub mod endpoint;
pub mod executor;
pub mod gauges;
pub mod health;
pub mod http2;
pub mod in_flight;
pub mod line;
mod outlet;
pub mod outlier;
pub mod patience;
mod replay;
pub mod retry;
pub mod round_robin;
pub mod send;
pub mod siblings;
mod spare;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod tries;
pub mod upgrade;
pub mod upkeep;
pub mod vitals;

pub use balance::{Asked, Balancer, Keys};
pub use circuit::Admission;
pub use connections::Connections;
pub use discovery::Discovered;
pub use endpoint::{Endpoint, Endpoints};
pub use in_flight::InFlight;
pub use outlier::Outlier;
pub use retry::Retry;
pub use round_robin::RoundRobin;
pub use send::{SendError, Sent, outcome, send};
pub use transport::Transport;
pub use tries::Errand;
pub use upgrade::send_upgrade;

use caps::Cap;
use siblings::Siblings;

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
    /// How long nothing may move on an upgraded connection.
    pub upgraded: Duration,
    /// What the client itself gives the whole request, if it said so: unlike `request` it ends streams, too.
    pub call: Option<Duration>,
}

impl Timeouts {
    /// What the client gives a call, where it says so: for the answer and for all of a stream.
    pub fn limit_call(&mut self, call: Option<Duration>) {
        self.call = call;
        self.request = match (self.request, call) {
            (Some(request), Some(call)) => Some(request.min(call)),
            (request, call) => request.or(call),
        };
    }
}

/// A named group of endpoints.
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// Chooses among its endpoints.
    pub balancer: Balancer,
    /// Endpoints that come and go without the configuration, if it has such.
    pub discovered: Option<Discovered>,
    /// When an endpoint goes out of use for its answers.
    pub outlier: Outlier,
    /// What endpoints are asked regularly, if they are.
    pub check: Option<Arc<health::Check>>,
    /// When it is given a rest; None for never.
    pub breaker: Option<circuit::Rules>,
    /// What it may have of the gateway at once.
    pub limits: caps::Limits,
    /// How its endpoints are spoken to.
    pub transport: Arc<Transport>,
    /// When a request is tried again; None where each is tried once.
    pub retry: Option<Retry>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Where the gateway's own token for it comes from, if it wants one.
    pub credentials: Option<Arc<TokenSource>>,
    /// The right to count what it answers.
    pub metrics: UpstreamHandle,
}

/// Why an upstream takes no request at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Its circuit is open, or lets only some through.
    #[error("the circuit is open for {retry_after:?}")]
    CircuitOpen {
        /// How long not to come back.
        retry_after: Duration,
    },
    /// It has as many requests in flight as it may.
    #[error("{0} requests are in flight already")]
    Full(u32),
}

/// How an upstream fares, to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamStatus {
    /// Whether requests are let through.
    pub circuit: circuit::State,
    /// How long none is, where that is so.
    pub open_for: Option<Duration>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that wait for a connection.
    pub pending: u32,
    /// Bytes of request bodies kept for another try.
    pub buffered: u64,
    /// How its endpoints fare.
    pub endpoints: Vec<EndpointStatus>,
}

/// How an endpoint fares, to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointStatus {
    /// Host and port.
    pub endpoint: Box<str>,
    /// Where it comes from: `static`, `dns` or `register`.
    pub source: &'static str,
    /// Its share relative to the others'.
    pub weight: u32,
    /// Whether it may take requests.
    pub ready: bool,
    /// Whether it is out of use for its answers.
    pub ejected: bool,
    /// What regular questions came to, if there were any.
    pub healthy: Option<bool>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Its latency as the balancer sees it.
    pub latency: Duration,
}

impl Upstream {
    /// Lets a request through, once for all of its tries.
    ///
    /// # Errors
    /// Where the circuit is open, or too many are in flight.
    #[inline]
    pub fn admit(&self, now: Instant) -> Result<Admission, Refusal> {
        let siblings = self.balancer.siblings();
        let admission = match &self.breaker {
            None => Admission::free(),
            Some(rules) => siblings.circuit.admit(rules, now).map_err(|retry_after| Refusal::CircuitOpen { retry_after })?,
        };
        if siblings.in_flight() >= self.limits.max_requests {
            siblings.caps.refused(Cap::Requests);
            return Err(Refusal::Full(self.limits.max_requests));
        }
        Ok(admission)
    }

    /// Takes what discovery has found since the last time. Builds tables, and may take milliseconds: never on a worker.
    pub fn rediscover(&self) {
        if let Some(discovered) = &self.discovered {
            discovered.apply(&self.balancer);
        }
    }

    /// The endpoint that takes a request, which counts there until it is dropped. None if none is ready.
    pub fn pick(&self, asked: &Asked<'_>) -> Option<InFlight> {
        let mut picked = self.balancer.pick(asked)?;
        picked.max_pending = self.limits.max_pending;
        Some(picked)
    }

    /// The right to keep so many bytes of a request's body for another try, until it is dropped. None where too many are
    /// kept already.
    pub fn buffer(&self, bytes: u64) -> Option<caps::Buffered> {
        self.balancer.siblings().caps.buffer(bytes, self.limits.max_buffered)
    }

    /// Learns from the answer to a try of an admitted request: its status, or 502 or 504 where none came, and the time it
    /// took since `began`. Not for requests that the client broke off, which say nothing of the endpoint.
    pub fn learn(&self, to: &InFlight, admission: &Admission, status: u16, took: Duration, began: Instant) {
        self.learn_latency(to, admission, status, took, began);
        if to.peers >= 2 {
            self.outlier.count(&self.balancer, to, status, began + took);
        }
    }

    /// The same of a try that was counted as a failure of its endpoint already, before it came to its end.
    pub fn learn_latency(&self, to: &InFlight, admission: &Admission, status: u16, took: Duration, began: Instant) {
        let now = began + took;
        if let Some(rules) = &self.breaker {
            self.balancer.siblings().circuit.learn(rules, admission, status, took, now);
        }
        // With nobody to compare it to, and nobody who could take its place, there is nothing to learn of the endpoint.
        if to.peers < 2 {
            return;
        }
        if self.goes_by_latency() {
            match status < 500 {
                true => to.vitals.learn(took, now),
                false => to.vitals.learn_failure(took, self.timeouts.first_byte, now),
            }
        }
    }

    /// Learns what became of the body of a good answer that was learned from already. One that was reset, or ended too soon,
    /// is a failure after all; what stalled, or what nobody wanted any more, says nothing.
    pub fn learn_body(&self, to: &InFlight, passage: &Passage, now: Instant) {
        match passage.error.get() {
            Some(BodyError::Cut | BodyError::Broken) => {}
            None if to.peers >= 2 && passage.completed.get().is_some() => return self.outlier.count_whole(to),
            _ => return,
        }
        if let Some(rules) = &self.breaker {
            self.balancer.siblings().circuit.learn_broken(rules, now);
        }
        if to.peers >= 2 {
            self.outlier.count_broken(&self.balancer, to, now);
        }
    }

    /// Learns that an endpoint took longer than this over a request that another one answered meanwhile.
    pub fn outpaced(&self, slow: &InFlight, took: Duration, now: Instant) {
        if slow.peers >= 2 && self.goes_by_latency() {
            slow.vitals.learn(took, now);
        }
    }

    /// Whether anybody wants to know latencies.
    fn goes_by_latency(&self) -> bool {
        self.balancer.goes_by_latency() || self.outlier.minds_silence()
    }

    /// How it fares.
    pub fn status(&self, now: Instant) -> UpstreamStatus {
        let Siblings { circuit, caps, .. } = &**self.balancer.siblings();
        UpstreamStatus {
            circuit: circuit.state(),
            open_for: circuit.open_for(now),
            in_flight: self.balancer.siblings().in_flight(),
            pending: caps.pending(),
            buffered: caps.buffered(),
            endpoints: self.endpoints(now),
        }
    }

    fn endpoints(&self, now: Instant) -> Vec<EndpointStatus> {
        let status = |member: &balance::Member| {
            let (vitals, flags) = (&member.endpoint.vitals, member.endpoint.vitals.flags());
            EndpointStatus {
                endpoint: member.endpoint.authority.clone(),
                source: self.discovered.as_ref().map_or(discovery::STATIC, |discovered| discovered.source_of(&member.endpoint)),
                weight: member.weight,
                ready: flags.is_ready(),
                ejected: flags.is_ejected(),
                healthy: vitals.healthy(),
                in_flight: vitals.in_flight(),
                latency: Duration::from_nanos(vitals.latency(now) as u64),
            }
        };
        self.balancer.set().members().iter().map(status).collect()
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
