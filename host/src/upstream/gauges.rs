//! What is published of endpoints: whether each is ready, ejections by reason, picks in panic. Read from their vital signs
//! when somebody scrapes.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::Endpoints;
use super::outlier::Reason;
use super::siblings::Siblings;

const HEALTHY: (&str, &str) =
    ("gatehouse_endpoint_healthy", "Whether an endpoint may take requests: neither ejected nor failing its checks.");
const EJECTIONS: (&str, &str) = ("gatehouse_ejections_total", "Endpoints that went out of use for their answers.");
const PANICS: (&str, &str) = ("gatehouse_panic_picks_total", "Requests spread over all endpoints because too few were ready.");

/// Publishes the endpoints in use.
pub struct EndpointGauges {
    endpoints: Arc<Endpoints>,
    descriptions: Vec<Desc>,
}

impl EndpointGauges {
    /// Of these endpoints.
    pub fn new(endpoints: Arc<Endpoints>) -> Self {
        let describe = |(name, help): (&str, &str), labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.into(), help.into(), labels, Default::default()).expect("our names are valid")
        };
        let descriptions = vec![
            describe(HEALTHY, &["endpoint", "upstream"]),
            describe(EJECTIONS, &["reason", "upstream"]),
            describe(PANICS, &["upstream"]),
        ];
        Self { endpoints, descriptions }
    }
}

impl Collector for EndpointGauges {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut upstreams = self.endpoints.upstreams();
        upstreams.sort_by(|one, two| one.upstream.cmp(&two.upstream));
        let healthy = upstreams.iter().flat_map(|siblings| healthy(siblings)).collect();
        let ejections = upstreams.iter().flat_map(|siblings| ejections(siblings)).collect();
        let panics = upstreams
            .iter()
            .filter(|siblings| siblings.panic_picks() > 0)
            .map(|siblings| counter(vec![label("upstream", &siblings.upstream)], siblings.panic_picks()));
        let families = [
            family(HEALTHY, MetricType::GAUGE, healthy),
            family(EJECTIONS, MetricType::COUNTER, ejections),
            family(PANICS, MetricType::COUNTER, panics.collect()),
        ];
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

/// One for each authority: the same one with and without TLS is one machine to whoever reads this.
fn healthy(siblings: &Siblings) -> Vec<Metric> {
    let mut ready: BTreeMap<String, bool> = BTreeMap::new();
    for endpoint in siblings.all() {
        let is_ready = endpoint.vitals.flags().is_ready();
        ready.entry(endpoint.authority.to_string()).and_modify(|ready| *ready &= is_ready).or_insert(is_ready);
    }
    let gauge = |(endpoint, ready): (String, bool)| {
        let mut gauge = Gauge::default();
        gauge.set_value(f64::from(u8::from(ready)));
        let mut metric = Metric::from_label(vec![label("endpoint", &endpoint), label("upstream", &siblings.upstream)]);
        metric.set_gauge(gauge);
        metric
    };
    ready.into_iter().map(gauge).collect()
}

fn ejections(siblings: &Siblings) -> impl Iterator<Item = Metric> {
    let counted = Reason::ALL.into_iter().filter(|reason| siblings.ejections(*reason) > 0);
    counted.map(|reason| counter(vec![label("reason", reason.name()), label("upstream", &siblings.upstream)], siblings.ejections(reason)))
}

fn counter(labels: Vec<LabelPair>, count: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
