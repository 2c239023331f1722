//! Which endpoint takes a request. An upstream's endpoints and the table of its algorithm are one immutable set, built
//! off the request path and swapped whole; what changes with each request is in the endpoints' vital signs.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::uri::PathAndQuery;

use crate::caller::Caller;

use super::siblings::Siblings;
use super::{Endpoint, InFlight, RoundRobin};

mod candidates;
mod hash_key;
mod least_request;
mod maglev;
mod peak_ewma;
mod random;
mod ring_hash;
#[cfg(test)]
mod tests;
mod weighted;

pub use hash_key::HashOn;

use candidates::{Bound, Candidates};
use maglev::Maglev;
use ring_hash::Ring;
use weighted::Weighted;

/// How an endpoint is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What the hashing algorithms keep together.
    pub hash_on: Option<HashOn>,
    /// How far above its share of the requests in flight an endpoint may be before its keys go elsewhere; 0.25 is 25 %.
    pub overload: f64,
    /// How long an endpoint that joins or comes back takes to get its whole share.
    pub slow_start: Duration,
    /// With a smaller share of the endpoints ready than this, all of them are used.
    pub panic_threshold: f64,
}

/// A way to choose an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// In turn, smoothly by weight.
    RoundRobin,
    /// The one of two with fewer requests in flight.
    LeastRequest,
    /// The one of two with less latency times load.
    PeakEwma,
    /// By a hash ring.
    RingHash,
    /// By a Maglev table.
    Maglev,
    /// By chance.
    Random,
}

/// What a pick goes by.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The time.
    pub now: Instant,
    /// The serials of endpoints that were tried already. They are taken again only if there is no other.
    pub tried: &'a [u64],
    /// What a hash can be made of.
    pub keys: Keys<'a>,
}

/// What a hash can be made of.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// Its path and query; none where the target is something else.
    pub path: Option<&'a PathAndQuery>,
    /// Who sent it, if that is known.
    pub caller: Option<&'a Caller>,
    /// From where, if it came from outside.
    pub address: Option<IpAddr>,
}

/// Chooses among the endpoints of an upstream.
pub struct Balancer {
    settings: Settings,
    siblings: Arc<Siblings>,
    set: ArcSwap<Set>,
}

/// Endpoints to choose from, with the algorithm's table.
pub struct Set {
    members: Box<[Member]>,
    /// Those that would take requests if there were no others.
    reserve: Box<[Arc<Endpoint>]>,
    table: Table,
    /// How many are ready, as it was at a certain number of changes: that number, and two bits of [`Standing`].
    standing: AtomicU64,
}

/// An endpoint of a set.
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its share relative to the others'; above 0.
    pub weight: u32,
    /// What a request in flight counts here: less than 1 for those that are heavier than the mean.
    load: f64,
}

enum Table {
    RoundRobin(RoundRobin),
    LeastRequest(Weighted),
    PeakEwma(Weighted),
    Random(Weighted),
    Ring(Ring, Weighted),
    Maglev(Maglev, Weighted),
}

/// How many of a set are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// None.
    None,
    /// Too few to carry it all.
    Few,
    /// Enough.
    Enough,
}

/// No number of changes: these are 32 bits long.
const UNKNOWN: u64 = u64::MAX;

// === impl Balancer ===

impl Balancer {
    /// Chooses among these endpoints by these weights. A weight of 0 takes an endpoint out of use.
    pub fn new(settings: Settings, siblings: Arc<Siblings>, endpoints: Vec<(Arc<Endpoint>, u32)>) -> Self {
        let set = ArcSwap::from_pointee(Set::new(&settings, endpoints));
        Self { settings, siblings, set }
    }

    /// Puts other endpoints in their place. Requests under way to one that is gone end as they would have.
    pub fn set_endpoints(&self, endpoints: Vec<(Arc<Endpoint>, u32)>) {
        self.set_endpoints_and_reserve(endpoints, Vec::new());
    }

    /// The same, with others that take no request and are watched all the same, so that it is known when they could.
    pub fn set_endpoints_and_reserve(&self, endpoints: Vec<(Arc<Endpoint>, u32)>, reserve: Vec<Arc<Endpoint>>) {
        let set = Set { reserve: reserve.into(), ..Set::new(&self.settings, endpoints) };
        self.set.store(Arc::new(set));
    }

    /// The endpoint that takes a request; none where none is ready.
    pub fn pick(&self, asked: &Asked<'_>) -> Option<InFlight> {
        let set = self.set.load();
        let standing = set.standing(&self.siblings, self.settings.panic_threshold);
        if standing == Standing::None {
            return None;
        }
        let place = match &*set.members {
            [_] => 0,
            _ => self.choose(&set, asked, standing)?,
        };
        Some(InFlight::begin(Arc::clone(&set.members[place].endpoint), set.members.len()))
    }

    /// Its endpoints at the moment.
    pub fn set(&self) -> Arc<Set> {
        self.set.load_full()
    }

    /// Whether it wants to learn latencies.
    pub fn goes_by_latency(&self) -> bool {
        self.settings.algorithm == Algorithm::PeakEwma
    }

    /// Whether requests that are alike are kept together.
    pub fn hashes(&self) -> bool {
        matches!(self.settings.algorithm, Algorithm::RingHash | Algorithm::Maglev)
    }

    /// What its endpoints share.
    pub fn siblings(&self) -> &Arc<Siblings> {
        &self.siblings
    }

    fn choose(&self, set: &Set, asked: &Asked<'_>, standing: Standing) -> Option<usize> {
        let panics = standing == Standing::Few;
        if panics {
            self.siblings.panicked();
        }
        let slow_start = self.settings.slow_start;
        let candidates = Candidates { members: &set.members, now: asked.now, slow_start, tried: asked.tried, panics };
        match self.choose_from(set, &candidates, asked) {
            None if !asked.tried.is_empty() => self.choose_from(set, &Candidates { tried: &[], ..candidates }, asked),
            chosen => chosen,
        }
    }

    fn choose_from(&self, set: &Set, candidates: &Candidates<'_>, asked: &Asked<'_>) -> Option<usize> {
        match &set.table {
            Table::RoundRobin(turns) => candidates.first(|| turns.pick().unwrap_or_default()),
            Table::LeastRequest(weighted) => least_request::pick(candidates, weighted),
            Table::PeakEwma(weighted) => peak_ewma::pick(candidates, weighted),
            Table::Random(weighted) => random::pick(candidates, weighted),
            Table::Ring(ring, weighted) => match self.hash(asked) {
                Some(hash) => candidates.along(ring.from(hash), hash, &self.bound(set)),
                None => random::pick(candidates, weighted),
            },
            Table::Maglev(maglev, weighted) => match self.hash(asked) {
                Some(hash) => candidates.along(maglev.from(hash), hash, &self.bound(set)),
                None => random::pick(candidates, weighted),
            },
        }
    }

    fn hash(&self, asked: &Asked<'_>) -> Option<u64> {
        self.settings.hash_on.as_ref()?.hash(&asked.keys)
    }

    fn bound(&self, set: &Set) -> Bound {
        Bound::new(self.siblings.in_flight(), set.members.len(), self.settings.overload)
    }
}

// === impl Set ===

impl Set {
    fn new(settings: &Settings, mut endpoints: Vec<(Arc<Endpoint>, u32)>) -> Self {
        endpoints.retain(|(_, weight)| *weight > 0);
        let total: u64 = endpoints.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mean = total as f64 / endpoints.len() as f64;
        let member = |(endpoint, weight)| Member { endpoint, weight, load: mean / f64::from(weight) };
        let members: Box<[Member]> = endpoints.into_iter().map(member).collect();
        let table = Table::new(settings.algorithm, &members);
        Self { table, members, reserve: Box::default(), standing: AtomicU64::new(UNKNOWN) }
    }

    /// Its endpoints.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Its endpoints, and those in reserve.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.members.iter().map(|member| &member.endpoint).chain(&self.reserve)
    }

    /// The endpoints that are ready.
    pub fn ready(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.endpoint.vitals.flags().is_ready())
    }

    #[inline]
    fn standing(&self, siblings: &Siblings, panic_threshold: f64) -> Standing {
        let (changes, known) = (u64::from(siblings.changes()), self.standing.load(Ordering::Relaxed));
        if known >> 2 == changes {
            return Standing::from_bits(known);
        }
        self.review(changes, panic_threshold)
    }

    /// Counts anew. Once for each change of readiness, which is rare.
    #[cold]
    fn review(&self, changes: u64, panic_threshold: f64) -> Standing {
        let ready = self.ready().count();
        let usable = self.members.iter().filter(|member| !member.endpoint.vitals.flags().is_ejected()).count();
        let is_few = (ready as f64) < self.members.len() as f64 * panic_threshold;
        let standing = match ready {
            0 => Standing::None,
            _ if is_few && usable > ready => Standing::Few,
            _ => Standing::Enough,
        };
        self.standing.store(changes << 2 | standing as u64, Ordering::Relaxed);
        standing
    }
}

impl Table {
    fn new(algorithm: Algorithm, members: &[Member]) -> Self {
        let weights: Vec<u32> = members.iter().map(|member| member.weight).collect();
        let weighted = || Weighted::new(&weights);
        let names = || members.iter().map(|member| (&*member.endpoint.authority, member.weight)).collect::<Vec<_>>();
        match algorithm {
            Algorithm::RoundRobin => Table::RoundRobin(RoundRobin::new(&weights)),
            Algorithm::LeastRequest => Table::LeastRequest(weighted()),
            Algorithm::PeakEwma => Table::PeakEwma(weighted()),
            Algorithm::Random => Table::Random(weighted()),
            Algorithm::RingHash => Table::Ring(Ring::new(&names()), weighted()),
            Algorithm::Maglev => Table::Maglev(Maglev::new(&names()), weighted()),
        }
    }
}

impl Standing {
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Standing::None,
            1 => Standing::Few,
            _ => Standing::Enough,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { algorithm: Algorithm::PeakEwma, hash_on: None, overload: 0.25, slow_start: Duration::from_secs(30), panic_threshold: 0.5 }
    }
}
