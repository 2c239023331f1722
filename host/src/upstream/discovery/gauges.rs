//! What is published of discovery: how many endpoints sources have found, how their lookups went and how old the last answer
//! is, and what became of registrations.

use std::sync::Arc;
use std::time::Instant;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};

use crate::upstream::Upstream;
use crate::upstream::gauges::{counter, describe, family, gauge, label};

use super::register::Event;
use super::{Discovered, dns};

const ENDPOINTS: (&str, &str) = ("gatehouse_discovery_endpoints", "Endpoints that a source of the upstream has found.");
const LOOKUPS: (&str, &str) =
    ("gatehouse_discovery_lookups_total", "Lookups in DNS; upstreams of equal settings share one, and each shows it.");
const AGE: (&str, &str) = ("gatehouse_discovery_answer_age_seconds", "The time since the last answer that named endpoints.");
const REGISTRATIONS: (&str, &str) = ("gatehouse_registrations_total", "What became of registrations.");

/// Publishes the discovery of the upstreams of the moment.
pub struct DiscoveryGauges<F> {
    upstreams: F,
    descriptions: Vec<Desc>,
}

impl<F: Fn() -> Vec<Arc<Upstream>> + Send + Sync> DiscoveryGauges<F> {
    /// Of these upstreams.
    pub fn new(upstreams: F) -> Self {
        let descriptions = vec![
            describe(ENDPOINTS, &["source", "upstream"]),
            describe(LOOKUPS, &["result", "upstream"]),
            describe(AGE, &["upstream"]),
            describe(REGISTRATIONS, &["event", "upstream"]),
        ];
        Self { upstreams, descriptions }
    }
}

impl<F: Fn() -> Vec<Arc<Upstream>> + Send + Sync> Collector for DiscoveryGauges<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut upstreams = (self.upstreams)();
        upstreams.sort_by(|one, two| one.name.cmp(&two.name));
        let now = Instant::now();
        let (mut endpoints, mut lookups, mut ages, mut registrations) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (name, discovered) in upstreams.iter().filter_map(|upstream| Some((&*upstream.name, upstream.discovered.as_ref()?))) {
            let labels = vec![label("source", discovered.source().kind()), label("upstream", name)];
            endpoints.push(gauge(labels, discovered.count() as f64));
            if discovered.registrations().is_some() {
                registrations.extend(events(name, discovered));
                continue;
            }
            lookups.extend(outcomes(name, discovered));
            ages.extend(discovered.source().age(now).map(|age| gauge(vec![label("upstream", name)], age.as_secs_f64())));
        }
        let families = [
            family(ENDPOINTS, MetricType::GAUGE, endpoints),
            family(LOOKUPS, MetricType::COUNTER, lookups),
            family(AGE, MetricType::GAUGE, ages),
            family(REGISTRATIONS, MetricType::COUNTER, registrations),
        ];
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

fn outcomes(upstream: &str, discovered: &Discovered) -> impl Iterator<Item = Metric> {
    dns::Outcome::ALL.into_iter().map(move |outcome| {
        let labels = vec![label("result", outcome.name()), label("upstream", upstream)];
        counter(labels, discovered.source().lookups(outcome))
    })
}

fn events(upstream: &str, discovered: &Discovered) -> impl Iterator<Item = Metric> {
    discovered.registrations().into_iter().flat_map(move |registrations| {
        Event::ALL.into_iter().map(move |event| {
            let labels = vec![label("event", event.name()), label("upstream", upstream)];
            counter(labels, registrations.count(event))
        })
    })
}
