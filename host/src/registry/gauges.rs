//! What is published of registries: how often each artifact was looked at and what came of it, and when that went well last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use crate::upstream::gauges::{counter, describe, family, gauge, label};

use super::{Outcome, Registries};

const PULLS: (&str, &str) = ("gatehouse_registry_pulls_total", "Looks at a registry, by what they came to.");
const SUCCESS: (&str, &str) =
    ("gatehouse_registry_last_success_timestamp_seconds", "When a registry last told what a reference stands for.");

/// Publishes the artifacts of the moment.
pub struct RegistryGauges {
    registries: Arc<Registries>,
    descriptions: Vec<Desc>,
}

impl RegistryGauges {
    /// Of these registries.
    pub fn new(registries: Arc<Registries>) -> Self {
        let descriptions = vec![describe(PULLS, &["reference", "result"]), describe(SUCCESS, &["reference"])];
        Self { registries, descriptions }
    }
}

impl Collector for RegistryGauges {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (mut pulls, mut successes) = (Vec::new(), Vec::new());
        for (reference, (outcomes, last_success)) in self.registries.readings() {
            let counted = Outcome::ALL.into_iter().zip(outcomes);
            pulls.extend(
                counted.map(|(outcome, count)| counter(vec![label("reference", &reference), label("result", outcome.name())], count)),
            );
            let since = last_success.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            successes.extend(since.map(|since| gauge(vec![label("reference", &reference)], since.as_secs_f64())));
        }
        let families = [family(PULLS, MetricType::COUNTER, pulls), family(SUCCESS, MetricType::GAUGE, successes)];
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

/// What came of looks, and when one went well last.
type Reading = ([u64; Outcome::ALL.len()], Option<SystemTime>);

impl Registries {
    /// By reference: those that only differ in who asks are one.
    fn readings(&self) -> BTreeMap<String, Reading> {
        let mut readings = BTreeMap::<String, Reading>::new();
        for (artifact, entry) in &*self.entries.lock() {
            let (outcomes, last) = readings.entry(artifact.reference.clone()).or_default();
            outcomes.iter_mut().zip(entry.outcomes).for_each(|(sum, count)| *sum += count);
            *last = (*last).max(entry.last_success);
        }
        readings
    }
}
