//! What is published of upstreams and their endpoints: whether each is ready, ejections by reason, picks in panic, the
//! circuit, and what was refused. Read when somebody scrapes.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::Endpoints;
use super::caps::Cap;
use super::circuit::State;
use super::outlier::Reason;
use super::retry;
use super::siblings::Siblings;

const HEALTHY: (&str, &str) =
    ("gatehouse_endpoint_healthy", "Whether an endpoint may take requests: neither ejected nor failing its checks.");
const EJECTIONS: (&str, &str) = ("gatehouse_ejections_total", "Endpoints that went out of use for their answers.");
const RETRIES: (&str, &str) =
    ("gatehouse_retries_total", "Requests tried again, by what their try came to; reason budget: those that were not, for too many were.");
const HEDGES: (&str, &str) = ("gatehouse_hedges_won_total", "Hedges that were answered before the try they were to make good.");
const PANICS: (&str, &str) = ("gatehouse_panic_picks_total", "Requests spread over all endpoints because too few were ready.");
const CIRCUIT: (&str, &str) = ("gatehouse_circuit_state", "The circuit of an upstream: 0 closed, 1 half-open, 2 open.");
const TRANSITIONS: (&str, &str) = ("gatehouse_circuit_transitions_total", "How often the circuit of an upstream came into a state.");
const REFUSALS: (&str, &str) =
    ("gatehouse_upstream_refusals_total", "What an upstream was spared: requests for its open circuit or a cap, bodies not kept.");

/// Publishes the endpoints in use.
pub struct EndpointGauges {
    endpoints: Arc<Endpoints>,
    descriptions: Vec<Desc>,
}

impl EndpointGauges {
    /// Of these endpoints.
    pub fn new(endpoints: Arc<Endpoints>) -> Self {
        let descriptions = vec![
            describe(HEALTHY, &["endpoint", "upstream"]),
            describe(EJECTIONS, &["reason", "upstream"]),
            describe(PANICS, &["upstream"]),
            describe(CIRCUIT, &["upstream"]),
            describe(TRANSITIONS, &["to", "upstream"]),
            describe(REFUSALS, &["reason", "upstream"]),
            describe(RETRIES, &["reason", "upstream"]),
            describe(HEDGES, &["upstream"]),
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
        let retries = upstreams.iter().flat_map(|siblings| retries(siblings)).collect();
        let hedges = upstreams
            .iter()
            .filter(|siblings| siblings.hedges_won() > 0)
            .map(|siblings| counter(vec![label("upstream", &siblings.upstream)], siblings.hedges_won()));
        let panics = upstreams
            .iter()
            .filter(|siblings| siblings.panic_picks() > 0)
            .map(|siblings| counter(vec![label("upstream", &siblings.upstream)], siblings.panic_picks()));
        let circuits = upstreams.iter().map(|siblings| circuit(siblings)).collect();
        let transitions = upstreams.iter().flat_map(|siblings| transitions(siblings)).collect();
        let refusals = upstreams.iter().flat_map(|siblings| refusals(siblings)).collect();
        let families = [
            family(HEALTHY, MetricType::GAUGE, healthy),
            family(EJECTIONS, MetricType::COUNTER, ejections),
            family(PANICS, MetricType::COUNTER, panics.collect()),
            family(CIRCUIT, MetricType::GAUGE, circuits),
            family(TRANSITIONS, MetricType::COUNTER, transitions),
            family(REFUSALS, MetricType::COUNTER, refusals),
            family(RETRIES, MetricType::COUNTER, retries),
            family(HEDGES, MetricType::COUNTER, hedges.collect()),
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
    let metric = |(endpoint, ready): (String, bool)| {
        gauge(vec![label("endpoint", &endpoint), label("upstream", &siblings.upstream)], f64::from(u8::from(ready)))
    };
    ready.into_iter().map(metric).collect()
}

fn ejections(siblings: &Siblings) -> impl Iterator<Item = Metric> {
    counters(siblings, "reason", Reason::ALL.into_iter().map(|reason| (reason.name(), siblings.ejections(reason))))
}

fn circuit(siblings: &Siblings) -> Metric {
    let state = siblings.circuit.state() as u8;
    gauge(vec![label("upstream", &siblings.upstream)], f64::from(state))
}

fn transitions(siblings: &Siblings) -> impl Iterator<Item = Metric> {
    let counted = State::ALL.into_iter().map(|state| (state.name(), siblings.circuit.transitions(state)));
    counters(siblings, "to", counted)
}

fn refusals(siblings: &Siblings) -> impl Iterator<Item = Metric> {
    let by_circuit = ("circuit_open", siblings.circuit.refusals());
    let by_caps = Cap::ALL.into_iter().map(|cap| (cap.name(), siblings.caps.refusals(cap)));
    counters(siblings, "reason", std::iter::once(by_circuit).chain(by_caps))
}

fn retries(siblings: &Siblings) -> impl Iterator<Item = Metric> {
    counters(siblings, "reason", retry::Reason::ALL.into_iter().map(|reason| (reason.name(), siblings.retries(reason))))
}

/// Those that have counted something.
fn counters<'a>(
    siblings: &'a Siblings,
    name: &'static str,
    counts: impl Iterator<Item = (&'static str, u64)> + 'a,
) -> impl Iterator<Item = Metric> + 'a {
    let counted = counts.filter(|(_, count)| *count > 0);
    counted.map(move |(value, count)| counter(vec![label(name, value), label("upstream", &siblings.upstream)], count))
}

pub(crate) fn describe((name, help): (&str, &str), labels: &[&str]) -> Desc {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Desc::new(name.into(), help.into(), labels, Default::default()).expect("our names are valid")
}

pub(crate) fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

pub(crate) fn counter(labels: Vec<LabelPair>, count: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

pub(crate) fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

pub(crate) fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
