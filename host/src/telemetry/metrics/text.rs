//! Text: merged counts as the metric families of the `prometheus` crate, which writes the exposition format.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// A counter with these labels.
pub fn counter(labels: &[(&str, &str)], value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = labelled(labels);
    metric.set_counter(counter);
    metric
}

/// A gauge with these labels.
pub fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = labelled(labels);
    metric.set_gauge(gauge);
    metric
}

/// A histogram with these labels: the count of each bucket and of what lies above the last, and the sum.
pub fn histogram(labels: &[(&str, &str)], bounds: &[f64], counts: &[u64], sum: f64) -> Metric {
    let running = counts.iter().scan(0, |below: &mut u64, count| {
        *below += count;
        Some(*below)
    });
    let buckets = bounds.iter().zip(running).map(|(bound, count)| bucket(*bound, count));
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    // The writer makes the bucket of everything, `+Inf`, from this.
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(sum);
    let mut metric = labelled(labels);
    metric.set_histogram(histogram);
    metric
}

/// A family of metrics under one name.
pub fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

/// The families in the text format 0.0.4; those without a metric are left out.
pub fn write(mut families: Vec<MetricFamily>) -> String {
    families.retain(|family| !family.get_metric().is_empty());
    let mut text = String::new();
    TextEncoder::new()
        .encode_utf8(&families, &mut text)
        .expect("every family has a name and metrics, and writing to a string does not fail");
    text
}

fn bucket(bound: f64, count: u64) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(bound);
    bucket.set_cumulative_count(count);
    bucket
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    Metric::from_label(labels.iter().map(|(name, value)| pair(name, value)).collect())
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
