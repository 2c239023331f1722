//! The metrics of plugins' own, published as `gatehouse_plugin_<name>` with the label `plugin`.
//! Guests choose the names and the label values, so all of them are checked, bounded and counted.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use smallvec::SmallVec;

use super::family::OTHER;
use super::members::KEPT_SWEEPS;
use super::text;

/// Series with label values of their own that one plugin may have.
const BUDGET: usize = 256;

/// Series under `other` past the budget, one for each name with its label names. Past these, measurements are dropped.
const FOLDED_BUDGET: usize = 64;

const MOST_LABELS: usize = 8;
const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 128;

/// Wide, because guests measure seconds, bytes and counts alike.
const BOUNDS: [f64; 19] =
    [0.00001, 0.0001, 0.00025, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 100.0, 1_000.0, 10_000.0];

const DROPPED: &str = "gatehouse_plugin_metrics_dropped_total";

/// What one plugin counts, in all of its instances and versions. A loaded plugin holds one of these all the time.
#[derive(Clone)]
pub struct PluginMetrics(Arc<Plugin>);

/// The metrics of all plugins.
pub struct Store {
    names: Arc<Names>,
    plugins: Mutex<BTreeMap<String, Kept>>,
}

struct Kept {
    plugin: Arc<Plugin>,
    unheld_sweeps: u32,
}

/// Published names with their types, and how many series bear each: one name never has two types.
#[derive(Default)]
struct Names(Mutex<HashMap<String, (Kind, usize)>>);

struct Plugin {
    name: String,
    names: Arc<Names>,
    hasher: RandomState,
    series: RwLock<HashMap<u64, Arc<Series>>>,
    dropped: AtomicU64,
}

struct Series {
    kind: Kind,
    name: String,
    published: String,
    labels: Vec<(String, String)>,
    value: Value,
}

/// A counter or the bits of a gauge first; for a histogram the buckets, what lies above, and the bits of the sum.
type Value = Box<[AtomicU64]>;

type Labels<'a> = SmallVec<[(&'a str, &'a str); MOST_LABELS]>;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

// === impl PluginMetrics ===

impl PluginMetrics {
    /// Adds to a counter.
    pub fn count(&self, name: &str, labels: &[(&str, &str)], by: u64) {
        // A name may bring the ending that it will be published with.
        let name = name.strip_suffix("_total").unwrap_or(name);
        self.0.measure(Kind::Counter, name, labels, |value| {
            value[0].fetch_add(by, Relaxed);
        });
    }

    /// Sets a gauge.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.measure(Kind::Gauge, name, labels, |gauge| {
            gauge[0].store(value.to_bits(), Relaxed);
        });
    }

    /// Observes a value in a histogram. What is no number would spoil the sum for ever, so it is dropped.
    pub fn observe(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        if !value.is_finite() {
            return self.0.drop_one();
        }
        self.0.measure(Kind::Histogram, name, labels, |histogram| {
            let bucket = BOUNDS.partition_point(|bound| *bound < value);
            histogram[bucket].fetch_add(1, Relaxed);
            add_float(&histogram[BOUNDS.len() + 1], value);
        });
    }
}

// === impl Store ===

impl Store {
    /// No plugins yet; no name of a plugin may be published as one of `reserved`.
    pub fn new(reserved: &[&str]) -> Self {
        let names = Arc::new(Names::default());
        for name in reserved.iter().chain([&DROPPED]) {
            // No guest can ask for this type and name together: endings tell them apart.
            let kind = if name.ends_with("_total") { Kind::Gauge } else { Kind::Counter };
            assert!(names.claim(name, kind), "reserved names differ");
        }
        Self { names, plugins: Mutex::default() }
    }

    /// The metrics of a plugin.
    pub fn plugin(&self, name: &str) -> PluginMetrics {
        let mut plugins = self.plugins.lock();
        let kept = plugins
            .entry(name.to_owned())
            .or_insert_with(|| Kept { plugin: Arc::new(Plugin::new(name, self.names.clone())), unheld_sweeps: 0 });
        PluginMetrics(kept.plugin.clone())
    }

    /// Forgets plugins that nobody has held for a few sweeps.
    pub fn sweep(&self) {
        self.plugins.lock().retain(|_, kept| {
            let held = Arc::strong_count(&kept.plugin) > 1;
            kept.unheld_sweeps = if held { 0 } else { kept.unheld_sweeps + 1 };
            kept.unheld_sweeps <= KEPT_SWEEPS
        });
    }

    /// Everything that plugins counted, by published name.
    pub fn families(&self) -> Vec<MetricFamily> {
        let plugins: Vec<_> = self.plugins.lock().values().map(|kept| kept.plugin.clone()).collect();
        let mut families = BTreeMap::<String, (Kind, Vec<Metric>)>::new();
        for (plugin, series) in plugins.iter().flat_map(|plugin| plugin.all()) {
            let family = families.entry(series.published.clone());
            let (_, metrics) = family.or_insert_with(|| (series.kind, Vec::new()));
            metrics.push(series.metric(&plugin.name));
        }
        let named = families
            .into_iter()
            .map(|(name, (kind, metrics))| text::family(&name, "A metric of a plugin's own.", kind.metric_type(), metrics));
        named.chain([dropped(&plugins)]).collect()
    }
}

fn dropped(plugins: &[Arc<Plugin>]) -> MetricFamily {
    let metrics = plugins.iter().filter_map(|plugin| {
        let dropped = plugin.dropped.load(Relaxed);
        (dropped > 0).then(|| text::counter(&[("plugin", &plugin.name)], dropped))
    });
    let help = "Measurements of a plugin with a bad name or far past its budget.";
    text::family(DROPPED, help, MetricType::COUNTER, metrics.collect())
}

// === impl Plugin ===

impl Plugin {
    fn new(name: &str, names: Arc<Names>) -> Self {
        Self { name: name.to_owned(), names, hasher: RandomState::new(), series: RwLock::default(), dropped: AtomicU64::new(0) }
    }

    fn measure(&self, kind: Kind, name: &str, labels: &[(&str, &str)], apply: impl FnOnce(&Value)) {
        if labels.len() > MOST_LABELS {
            return self.drop_one();
        }
        let labels = labels.iter().map(|(name, value)| (*name, shortened(value))).collect();
        match self.find(kind, name, &labels).or_else(|| self.admit(kind, name, labels)) {
            Some(series) => apply(&series.value),
            None => self.drop_one(),
        }
    }

    fn drop_one(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    fn find(&self, kind: Kind, name: &str, labels: &Labels<'_>) -> Option<Arc<Series>> {
        let key = self.key(kind, name, labels);
        let series = self.series.read().get(&key).cloned();
        series.filter(|series| series.is(kind, name, labels))
    }

    /// A new series, or the one that counts for it under `other`; none if the name is bad or there is no room.
    fn admit(&self, kind: Kind, name: &str, mut labels: Labels<'_>) -> Option<Arc<Series>> {
        if !valid(kind, name, &labels) {
            return None;
        }
        if self.series.read().len() >= BUDGET {
            labels.iter_mut().for_each(|(_, value)| *value = OTHER);
            if let Some(folded) = self.find(kind, name, &labels) {
                return Some(folded);
            }
        }
        self.insert(Series::new(kind, name, &labels), self.key(kind, name, &labels))
    }

    fn insert(&self, series: Series, key: u64) -> Option<Arc<Series>> {
        let mut all = self.series.write();
        if let Some(present) = all.get(&key) {
            // Another worker was quicker. Two series of one key are as likely as two equal random 64-bit numbers.
            return Some(present.clone());
        }
        let room = if series.is_folded() { BUDGET + FOLDED_BUDGET } else { BUDGET };
        if all.len() >= room || !self.names.claim(&series.published, series.kind) {
            return None;
        }
        let series = Arc::new(series);
        all.insert(key, series.clone());
        Some(series)
    }

    /// The key of a series, whatever the order of its labels. The hasher's own keys are random, so no guest can aim.
    fn key(&self, kind: Kind, name: &str, labels: &Labels<'_>) -> u64 {
        let labels = labels.iter().map(|label| self.hasher.hash_one(label));
        labels.fold(self.hasher.hash_one((kind, name)), u64::wrapping_add)
    }

    fn all(self: &Arc<Self>) -> Vec<(Arc<Self>, Arc<Series>)> {
        let series = self.series.read();
        let mut all: Vec<_> = series.values().map(|series| (self.clone(), series.clone())).collect();
        all.sort_by(|(_, one), (_, two)| one.labels.cmp(&two.labels));
        all
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        for series in self.series.get_mut().values() {
            self.names.release(&series.published);
        }
    }
}

// === impl Names ===

impl Names {
    /// Takes a share in a name; false where it has another type.
    fn claim(&self, name: &str, kind: Kind) -> bool {
        let mut names = self.0.lock();
        let (claimed, holders) = names.entry(name.to_owned()).or_insert((kind, 0));
        if *claimed != kind {
            return false;
        }
        *holders += 1;
        true
    }

    fn release(&self, name: &str) {
        let mut names = self.0.lock();
        if let Some((_, holders)) = names.get_mut(name) {
            *holders -= 1;
            if *holders == 0 {
                names.remove(name);
            }
        }
    }
}

// === impl Series ===

impl Series {
    fn new(kind: Kind, name: &str, labels: &Labels<'_>) -> Self {
        let mut labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        labels.sort();
        let ending = if kind == Kind::Counter { "_total" } else { "" };
        let places = if kind == Kind::Histogram { BOUNDS.len() + 2 } else { 1 };
        Self {
            kind,
            name: name.to_owned(),
            published: format!("gatehouse_plugin_{name}{ending}"),
            labels,
            value: (0..places).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn is(&self, kind: Kind, name: &str, labels: &Labels<'_>) -> bool {
        let same = |(name, value): &(&str, &str)| self.labels.iter().any(|(n, v)| n == name && v == value);
        self.kind == kind && self.name == name && self.labels.len() == labels.len() && labels.iter().all(same)
    }

    fn is_folded(&self) -> bool {
        self.labels.iter().all(|(_, value)| value == OTHER)
    }

    fn metric(&self, plugin: &str) -> Metric {
        let labels = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels: Vec<_> = [("plugin", plugin)].into_iter().chain(labels).collect();
        let counts: Vec<u64> = self.value.iter().map(|count| count.load(Relaxed)).collect();
        match self.kind {
            Kind::Counter => text::counter(&labels, counts[0]),
            Kind::Gauge => text::gauge(&labels, f64::from_bits(counts[0])),
            Kind::Histogram => text::histogram(&labels, &BOUNDS, &counts[..=BOUNDS.len()], f64::from_bits(counts[BOUNDS.len() + 1])),
        }
    }
}

impl Kind {
    fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::COUNTER,
            Self::Gauge => MetricType::GAUGE,
            Self::Histogram => MetricType::HISTOGRAM,
        }
    }
}

/// Whether a series may be published at all.
fn valid(kind: Kind, name: &str, labels: &Labels<'_>) -> bool {
    // These endings belong to counters and to the lines of a histogram.
    let taken = ["_total", "_bucket", "_sum", "_count"];
    let ends_well = kind == Kind::Counter || !taken.iter().any(|ending| name.ends_with(ending));
    ends_well
        && valid_name(name)
        && labels.iter().enumerate().all(|(at, (label, _))| {
            // The gateway itself writes these.
            let reserved = ["plugin", "le", "quantile"].contains(label);
            let repeated = labels[..at].iter().any(|(earlier, _)| earlier == label);
            valid_name(label) && !reserved && !repeated
        })
}

/// Whether a name matches `[a-z][a-z0-9_]*` and is of a bearable length.
fn valid_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= LONGEST_NAME && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(allowed)
}

fn shortened(value: &str) -> &str {
    &value[..value.floor_char_boundary(LONGEST_VALUE)]
}

fn add_float(sum: &AtomicU64, value: f64) {
    let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
    sum.fetch_update(Relaxed, Relaxed, add).expect("adding always gives a value");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::new(&["gatehouse_plugin_instances", "gatehouse_plugin_faults_total"])
    }

    #[track_caller]
    fn check(store: &Store, expected: &[&str]) {
        let text = text::write(store.families());
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, expected, "the published lines");
    }

    #[test]
    fn counters_gauges_and_histograms_are_published_with_their_plugin() {
        let store = store();
        let acme = store.plugin("acme");
        acme.count("hits", &[("kind", "a\"b")], 2);
        acme.count("hits_total", &[("kind", "a\"b")], 3);
        acme.gauge("level", &[], 1.5);
        acme.gauge("level", &[], -2.5);
        store.plugin("other-one").count("hits", &[], 1);
        check(
            &store,
            &[
                r#"gatehouse_plugin_hits_total{plugin="acme",kind="a\"b"} 5"#,
                r#"gatehouse_plugin_hits_total{plugin="other-one"} 1"#,
                r#"gatehouse_plugin_level{plugin="acme"} -2.5"#,
            ],
        );
    }

    #[test]
    fn a_value_on_a_bound_is_observed_below_it() {
        let store = store();
        let acme = store.plugin("acme");
        for value in [0.5, 0.6, 20_000.0, f64::NAN, f64::INFINITY] {
            acme.observe("wait_seconds", &[], value);
        }
        let text = text::write(store.families());
        for line in [
            r#"gatehouse_plugin_wait_seconds_bucket{plugin="acme",le="0.25"} 0"#,
            r#"gatehouse_plugin_wait_seconds_bucket{plugin="acme",le="0.5"} 1"#,
            r#"gatehouse_plugin_wait_seconds_bucket{plugin="acme",le="1"} 2"#,
            r#"gatehouse_plugin_wait_seconds_bucket{plugin="acme",le="+Inf"} 3"#,
            r#"gatehouse_plugin_wait_seconds_sum{plugin="acme"} 20001.1"#,
            r#"gatehouse_plugin_wait_seconds_count{plugin="acme"} 3"#,
            r#"gatehouse_plugin_metrics_dropped_total{plugin="acme"} 2"#,
        ] {
            assert!(text.lines().any(|present| present == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn labels_count_for_the_same_series_in_any_order() {
        let store = store();
        let acme = store.plugin("acme");
        acme.count("hits", &[("a", "1"), ("b", "2")], 1);
        acme.count("hits", &[("b", "2"), ("a", "1")], 1);
        acme.count("hits", &[("a", "2"), ("b", "1")], 1);
        check(
            &store,
            &[r#"gatehouse_plugin_hits_total{plugin="acme",a="1",b="2"} 2"#, r#"gatehouse_plugin_hits_total{plugin="acme",a="2",b="1"} 1"#],
        );
    }

    #[test]
    fn past_256_series_label_values_fold_into_other() {
        let store = store();
        let acme = store.plugin("acme");
        for user in 0..1000 {
            acme.count("hits", &[("user", &user.to_string())], 1);
        }
        acme.count("hits", &[("user", "3")], 1);
        let text = text::write(store.families());
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.count(), BUDGET + 1, "256 series and the one called other");
        for line in [r#"{plugin="acme",user="other"} 744"#, r#"{plugin="acme",user="3"} 2"#] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_counted() {
        let store = store();
        let acme = store.plugin("acme");
        for name in 0..1000 {
            acme.count(&format!("hits_{name}"), &[], 1);
        }
        let text = text::write(store.families());
        let dropped = 1000 - BUDGET - FOLDED_BUDGET;
        let line = format!("gatehouse_plugin_metrics_dropped_total{{plugin=\"acme\"}} {dropped}");
        assert!(text.contains(&line), "{line} is missing");
    }

    #[test]
    fn bad_names_are_dropped() {
        let store = store();
        let acme = store.plugin("acme");
        let long = "x".repeat(65);
        for name in ["", "Hits", "1hits", "hits-a", "_hits", "faults", "\u{e4}", &long] {
            acme.count(name, &[], 1);
        }
        for name in ["instances", "hits_total", "hits_count", "hits_bucket", "hits_sum"] {
            acme.gauge(name, &[], 1.0);
        }
        for label in ["", "Le", "le", "plugin", "quantile", "a-b"] {
            acme.count("hits", &[(label, "x")], 1);
        }
        acme.count("hits", &[("a", "1"), ("a", "2")], 1);
        acme.count("hits", &[("a", "1"); 9], 1);
        check(&store, &[r#"gatehouse_plugin_metrics_dropped_total{plugin="acme"} 21"#]);
    }

    #[test]
    fn a_name_has_one_type_until_its_last_plugin_is_gone() {
        let store = store();
        let acme = store.plugin("acme");
        acme.gauge("level", &[], 1.0);
        let second = store.plugin("second");
        second.observe("level", &[], 1.0);
        let refused = r#"gatehouse_plugin_metrics_dropped_total{plugin="second"} 1"#;
        check(&store, &[r#"gatehouse_plugin_level{plugin="acme"} 1"#, refused]);

        drop(acme);
        (0..=KEPT_SWEEPS).for_each(|_| store.sweep());
        check(&store, &[refused]);
        second.observe("level", &[], 2.0);
        let text = text::write(store.families());
        let line = r#"gatehouse_plugin_level_count{plugin="second"} 1"#;
        assert!(text.contains(line), "the name is free for another type:\n{text}");
    }

    #[test]
    fn long_label_values_are_cut_between_characters() {
        let store = store();
        let value = "\u{e4}".repeat(100);
        store.plugin("acme").count("hits", &[("a", &value)], 1);
        let cut = "\u{e4}".repeat(64);
        check(&store, &[&format!("gatehouse_plugin_hits_total{{plugin=\"acme\",a=\"{cut}\"}} 1")]);
    }
}
