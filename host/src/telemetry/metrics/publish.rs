//! Publishing: merged counts of the built-in metrics under their Prometheus names.
//! The names are part of the outer contract.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::buckets;
use super::family::Row;
use super::labels::{
    AuthMethod, AuthResult, Break, FaultReason, InstanceState, LimitResult, LimitSource, Method, MirrorResult, Phase, StatusClass,
};
use super::layout::{
    self, BROKEN, DECISIONS, FAULTS, INSTANCES, LOG_DROPPED, MIRRORED, OVERHEAD, PHASE_WIDTH, PLUGIN, ROUTE, TIMINGS, TRIES, UPSTREAM,
    plugin_part,
};
use super::text;

const PLUGIN_DURATION: &str = "gatehouse_plugin_duration_seconds";
const PLUGIN_FAULTS: &str = "gatehouse_plugin_faults_total";
const PLUGIN_INSTANCES: &str = "gatehouse_plugin_instances";
const PLUGIN_LOG_DROPPED: &str = "gatehouse_plugin_log_dropped_total";

/// Names that a plugin's own metrics must not take.
pub const RESERVED: &[&str] = &[PLUGIN_DURATION, PLUGIN_FAULTS, PLUGIN_INSTANCES, PLUGIN_LOG_DROPPED];

/// Requests of every route.
pub fn routes(rows: &[Row<ROUTE>]) -> MetricFamily {
    let mut metrics = Vec::new();
    for row in rows {
        for method in Method::ALL {
            let classes = StatusClass::ALL.iter().filter(|class| row.shows(layout::request(*method, **class)));
            metrics.extend(classes.map(|class| requests(row, *method, *class)));
        }
    }
    text::family("gatehouse_requests_total", "Requests answered.", MetricType::COUNTER, metrics)
}

/// Tries of every upstream, requests that broke off there, and copies of requests that were for others.
pub fn upstreams(rows: &[Row<UPSTREAM>]) -> [MetricFamily; 3] {
    let classes: Vec<_> = StatusClass::ALL.iter().map(|class| ("status_class", class.as_str())).collect();
    let results: Vec<_> = MirrorResult::ALL.iter().map(|result| ("result", result.as_str())).collect();
    let reasons: Vec<_> = Break::ALL.iter().map(|reason| ("reason", reason.as_str())).collect();
    let broken = upstream_places(rows, BROKEN, &reasons);
    let (tries, mirrored) = (upstream_places(rows, 0, &classes), upstream_places(rows, MIRRORED, &results));
    [
        text::family("gatehouse_upstream_requests_total", "Tries sent to an upstream.", MetricType::COUNTER, tries),
        text::family(
            "gatehouse_broken_requests_total",
            "Requests that ended before the last byte of their answer, by who broke off.",
            MetricType::COUNTER,
            broken,
        ),
        text::family("gatehouse_mirrored_requests_total", "Copies of requests, by what became of them.", MetricType::COUNTER, mirrored),
    ]
}

/// What every plugin did.
pub fn plugins(rows: &[Row<PLUGIN>]) -> [MetricFamily; 4] {
    let reasons: Vec<_> = FaultReason::ALL.iter().map(|reason| Some(("reason", reason.as_str()))).collect();
    let states: Vec<_> = InstanceState::ALL.iter().map(|state| Some(("state", state.as_str()))).collect();
    let faults = plugin_places(rows, FAULTS, &reasons, text::counter);
    let instances = plugin_places(rows, INSTANCES, &states, |labels, count| text::gauge(labels, count as f64));
    let log_dropped = plugin_places(rows, LOG_DROPPED, &[None], text::counter);
    [
        plugin_durations(rows),
        text::family(PLUGIN_FAULTS, "Plugin calls that came to nothing.", MetricType::COUNTER, faults),
        text::family(PLUGIN_INSTANCES, "Instances by what they are doing.", MetricType::GAUGE, instances),
        text::family(PLUGIN_LOG_DROPPED, "Log lines of a plugin that were dropped.", MetricType::COUNTER, log_dropped),
    ]
}

/// Times of whole requests, of the gateway's own share and of upstreams.
pub fn timings(counts: &[u64; TIMINGS]) -> [MetricFamily; 3] {
    let family = |name, help, metric| text::family(name, help, MetricType::HISTOGRAM, vec![metric]);
    [
        family(
            "gatehouse_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            buckets::REQUEST.metric(&[], &counts[..OVERHEAD]),
        ),
        family(
            "gatehouse_overhead_seconds",
            "The gateway's own share: without upstreams and without waiting for the client's body.",
            buckets::OVERHEAD.metric(&[], &counts[OVERHEAD..TRIES]),
        ),
        family(
            "gatehouse_upstream_duration_seconds",
            "From sending a try to the head of its answer.",
            buckets::REQUEST.metric(&[], &counts[TRIES..]),
        ),
    ]
}

/// What capabilities decided.
pub fn decisions(counts: &[u64; DECISIONS]) -> [MetricFamily; 2] {
    [
        text::family("gatehouse_ratelimit_decisions_total", "Requests for tokens, by who decided.", MetricType::COUNTER, limits(counts)),
        text::family("gatehouse_auth_total", "Credentials that were checked.", MetricType::COUNTER, auths(counts)),
    ]
}

fn requests(row: &Row<ROUTE>, method: Method, class: StatusClass) -> Metric {
    let labels = [("method", method.as_str()), ("route", row.labels()[0].as_str()), ("status_class", class.as_str())];
    text::counter(&labels, row.counts[layout::request(method, class)])
}

/// One counter for each shown place from `first` on; `labels` has the label that tells the places apart.
fn upstream_places(rows: &[Row<UPSTREAM>], first: usize, labels: &[(&str, &str)]) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for row in rows {
        let places = (first..).zip(labels).filter(|(place, _)| row.shows(*place));
        metrics.extend(places.map(|(place, label)| text::counter(&[*label, ("upstream", row.labels()[0].as_str())], row.counts[place])));
    }
    metrics
}

fn plugin_durations(rows: &[Row<PLUGIN>]) -> MetricFamily {
    let mut metrics = Vec::new();
    for row in rows {
        for phase in Phase::ALL.iter().filter(|phase| row.shows(**phase as usize)) {
            let labels = plugin_labels(row, Some(("phase", phase.as_str())));
            let counts = &row.counts[*phase as usize * PHASE_WIDTH..][..PHASE_WIDTH];
            metrics.push(buckets::PLUGIN.metric(&labels, counts));
        }
    }
    text::family(PLUGIN_DURATION, "Time in calls of a plugin.", MetricType::HISTOGRAM, metrics)
}

/// One metric for each shown place from `first` on; `labels` has the label that tells the places apart.
fn plugin_places(
    rows: &[Row<PLUGIN>],
    first: usize,
    labels: &[Option<(&str, &str)>],
    metric: fn(&[(&str, &str)], u64) -> Metric,
) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for row in rows {
        let places = (first..).zip(labels).filter(|(place, _)| row.shows(plugin_part(*place)));
        metrics.extend(places.map(|(place, label)| metric(&plugin_labels(row, *label), row.counts[place])));
    }
    metrics
}

fn plugin_labels<'a>(row: &'a Row<PLUGIN>, label: Option<(&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
    let names = ["plugin", "version"].into_iter();
    let mut labels: Vec<_> = names.zip(row.labels().iter().map(String::as_str)).collect();
    labels.extend(label);
    labels
}

fn limits(counts: &[u64; DECISIONS]) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for result in LimitResult::ALL {
        for source in LimitSource::ALL {
            let labels = [("result", result.as_str()), ("source", source.as_str())];
            metrics.extend(counted(&labels, counts[layout::limit(*result, *source)]));
        }
    }
    metrics
}

fn auths(counts: &[u64; DECISIONS]) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for method in AuthMethod::ALL {
        for result in AuthResult::ALL {
            let labels = [("method", method.as_str()), ("result", result.as_str())];
            metrics.extend(counted(&labels, counts[layout::auth(*method, *result)]));
        }
    }
    metrics
}

fn counted(labels: &[(&str, &str)], count: u64) -> Option<Metric> {
    (count > 0).then(|| text::counter(labels, count))
}
