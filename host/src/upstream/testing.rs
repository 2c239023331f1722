//! Upstreams for unit tests: endpoints that nobody connects to, and a clock that is moved by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};

use crate::telemetry::Metrics;

use super::balance::{Algorithm, HashOn, Settings};
use super::caps::Limits;
use super::{Admission, Asked, Balancer, Endpoint, Endpoints, InFlight, Keys, Outlier, Timeouts, Transport, Upstream};

/// The field that these upstreams hash on.
const KEY: &str = "x-key";

/// An upstream with its endpoints in order.
pub struct Group {
    pub upstream: Upstream,
    pub endpoints: Vec<Arc<Endpoint>>,
    pub _registry: Endpoints,
    pub now: Instant,
}

impl Group {
    /// Endpoints with these weights, with defaults for the rest.
    pub fn new(algorithm: Algorithm, weights: &[u32]) -> Self {
        Self::with(Settings { algorithm, ..Settings::default() }, weights)
    }

    /// Endpoints with these weights.
    pub fn with(mut settings: Settings, weights: &[u32]) -> Self {
        if matches!(settings.algorithm, Algorithm::RingHash | Algorithm::Maglev) {
            settings.hash_on = Some(HashOn::Header(KEY.parse().expect("a name")));
        }
        let (registry, metrics) = (Endpoints::default(), Metrics::new());
        let siblings = registry.siblings("group");
        let urls: Vec<String> = (1..=weights.len()).map(|number| format!("http://10.0.{}.{}:80", number / 250, number % 250 + 1)).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let endpoints: Vec<Arc<Endpoint>> = registry.group(&siblings, &urls).into_iter().map(|found| found.expect("a good URL")).collect();
        let weighted = endpoints.iter().cloned().zip(weights.iter().copied()).collect();
        let upstream = Upstream {
            name: "group".into(),
            balancer: Balancer::new(settings, siblings, weighted),
            outlier: Outlier::default(),
            check: None,
            breaker: None,
            limits: Limits::default(),
            transport: Arc::new(Transport::plain()),
            retry: None,
            timeouts: Timeouts {
                connect: Duration::from_secs(1),
                first_byte: Duration::from_secs(15),
                request: None,
                idle: Duration::from_secs(60),
                keep_alive: Duration::from_secs(60),
                upgraded: Duration::from_secs(600),
                call: None,
            },
            discovered: None,
            credentials: None,
            metrics: metrics.upstream("group"),
        };
        Self { upstream, endpoints, _registry: registry, now: Instant::now() }
    }

    /// Moves the clock.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// A pick for this key, where the algorithm hashes.
    pub fn pick(&self, key: u64) -> InFlight {
        self.pick_but(key, &[]).expect("one is ready")
    }

    /// A pick that would rather not have these again.
    pub fn pick_but(&self, key: u64, tried: &[u64]) -> Option<InFlight> {
        let mut headers = HeaderMap::new();
        headers.insert(KEY, HeaderValue::from(key));
        let keys = Keys { headers: &headers, path: None, caller: None, address: None };
        self.upstream.pick(&Asked { now: self.now, tried, keys })
    }

    /// How many of so many picks, one after the other, each endpoint gets.
    pub fn spread(&self, picks: u64) -> Vec<u64> {
        let mut counts = vec![0; self.endpoints.len()];
        for key in 0..picks {
            counts[self.place(&self.pick(key))] += 1;
        }
        counts
    }

    /// Which one it is.
    pub fn place(&self, picked: &InFlight) -> usize {
        self.endpoints.iter().position(|endpoint| endpoint.serial == picked.serial).expect("one of ours")
    }

    /// The next answer of that endpoint.
    pub fn answers(&mut self, place: usize, status: u16) {
        let to = InFlight::begin(Arc::clone(&self.endpoints[place]), self.endpoints.len());
        let took = Duration::from_millis(1);
        self.upstream.learn(&to, &Admission::free(), status, took, self.now);
        self.now += took;
    }

    /// Whether each is ready.
    pub fn ready(&self) -> Vec<bool> {
        self.endpoints.iter().map(|endpoint| endpoint.vitals.flags().is_ready()).collect()
    }

    /// What the background does, at this time.
    pub fn pardon(&self) {
        self.upstream.outlier.pardon(&self.upstream.balancer, self.now);
    }
}
