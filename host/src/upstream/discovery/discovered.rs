//! The endpoints of one upstream as discovery has them: those of the configuration, and those of a source.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::upstream::balance::Balancer;
use crate::upstream::{Endpoint, Endpoints};

use super::register::Registrations;
use super::{Found, STATIC, Source};

/// What an upstream's endpoints are made of, other than by the configuration alone.
pub struct Discovered {
    source: Arc<Source>,
    /// How long a registration lasts that does not say so itself.
    ttl: Duration,
    fixed: Vec<(Arc<Endpoint>, u32)>,
    endpoints: Arc<Endpoints>,
    applied: Mutex<Applied>,
}

/// What the balancer has.
#[derive(Default)]
struct Applied {
    version: u64,
    /// Endpoints of one priority each, the lowest number first.
    groups: Vec<Vec<(Arc<Endpoint>, u32)>>,
    /// The group that takes requests.
    active: usize,
}

impl Discovered {
    /// Of this source, besides these fixed ones.
    pub fn new(source: Arc<Source>, ttl: Duration, fixed: Vec<(Arc<Endpoint>, u32)>, endpoints: Arc<Endpoints>) -> Self {
        Self { source, ttl, fixed, endpoints, applied: Mutex::default() }
    }

    /// Where the endpoints come from.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Those that registered themselves, where the upstream has such.
    pub fn registrations(&self) -> Option<&Registrations> {
        self.source.registrations()
    }

    /// How long a registration lasts that does not say so itself.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Where an endpoint comes from.
    pub fn source_of(&self, endpoint: &Endpoint) -> &'static str {
        let is_fixed = self.fixed.iter().any(|(fixed, _)| fixed.serial == endpoint.serial);
        if is_fixed { STATIC } else { self.source.kind() }
    }

    /// How many endpoints the source has found.
    pub fn count(&self) -> usize {
        self.source.found().targets.len()
    }

    /// Whether the balancer is to be told something. Lets the source do what is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.source.tick(now);
        let applied = self.applied.lock();
        applied.version != self.source.found.load().version || applied.active != applied.ready()
    }

    /// Tells the balancer, if there is anything to tell.
    pub(in crate::upstream) fn apply(&self, balancer: &Balancer) {
        let (found, mut applied) = (self.source.found(), self.applied.lock());
        let is_new = applied.version != found.version;
        if is_new {
            *applied = Applied { version: found.version, groups: self.groups(&found, balancer), active: 0 };
        }
        let active = applied.ready();
        if is_new || active != applied.active {
            applied.active = active;
            let (members, reserve) = applied.split(&self.fixed);
            tracing::debug!(upstream = %balancer.siblings().upstream, endpoints = members.len(), "endpoints changed");
            balancer.set_endpoints_and_reserve(members, reserve);
        }
    }

    fn groups(&self, found: &Found, balancer: &Balancer) -> Vec<Vec<(Arc<Endpoint>, u32)>> {
        let places = found.targets.iter().map(|target| (&target.origin, &*target.addresses));
        let endpoints = self.endpoints.found(balancer.siblings(), places);
        // An endpoint that the configuration names has the weight that it has there.
        let mut taken: HashSet<u64> = self.fixed.iter().map(|(endpoint, _)| endpoint.serial).collect();
        let fresh = endpoints.into_iter().zip(&found.targets).filter(|(endpoint, _)| taken.insert(endpoint.serial));
        let mut sorted: Vec<_> = fresh.map(|(endpoint, target)| (target.priority, (endpoint, target.weight))).collect();
        sorted.sort_by_key(|(priority, _)| *priority);
        let groups = sorted.chunk_by(|(one, _), (other, _)| one == other);
        groups.map(|group| group.iter().map(|(_, weighted)| weighted.clone()).collect()).collect()
    }
}

impl Applied {
    /// The first group of which one is ready; the first of all where none is.
    fn ready(&self) -> usize {
        if self.groups.len() < 2 {
            return 0;
        }
        let is_ready = |group: &Vec<(Arc<Endpoint>, u32)>| group.iter().any(|(endpoint, _)| endpoint.vitals.flags().is_ready());
        self.groups.iter().position(is_ready).unwrap_or_default()
    }

    /// Who takes requests, and who is only watched.
    fn split(&self, fixed: &[(Arc<Endpoint>, u32)]) -> (Vec<(Arc<Endpoint>, u32)>, Vec<Arc<Endpoint>>) {
        let mut members = fixed.to_vec();
        let mut reserve = Vec::new();
        for (place, group) in self.groups.iter().enumerate() {
            match place == self.active {
                true => members.extend(group.iter().cloned()),
                false => reserve.extend(group.iter().map(|(endpoint, _)| Arc::clone(endpoint))),
            }
        }
        (members, reserve)
    }
}
