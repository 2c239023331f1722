//! What is published of rollouts: who is tried on how many, what shadows say, and how rollouts ended. Read when somebody
//! scrapes.

use std::sync::Arc;

use prometheus::core::{Collector, Desc, GenericGaugeVec};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, Opts};

use super::Rollouts;

const WEIGHT: (&str, &str) =
    ("gatehouse_rollout_weight", "The percentage of callers, or of copied requests, that a plugin version on trial gets.");
const VERDICTS: (&str, &str) =
    ("gatehouse_shadow_verdicts_total", "Verdicts of the shadow at hand: as the stable version's, others, and requests it was not shown.");
const ENDED: (&str, &str) = ("gatehouse_rollouts_ended_total", "Rollouts of plugin versions that are over, by what became of them.");

/// Publishes rollouts.
pub struct RolloutGauges {
    rollouts: Arc<Rollouts>,
    descriptions: Vec<Desc>,
}

impl RolloutGauges {
    /// Of these plugins.
    pub fn new(rollouts: Arc<Rollouts>) -> Self {
        let describe = |collector: &dyn Collector| collector.desc().into_iter().cloned().collect::<Vec<_>>();
        let descriptions = [describe(&weights()), describe(&verdicts()), describe(&ended())].concat();
        Self { rollouts, descriptions }
    }
}

impl Collector for RolloutGauges {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (weights, verdicts, ended) = (weights(), verdicts(), ended());
        let plugins = self.rollouts.plugins.lock();
        for (name, managed) in plugins.iter() {
            if let Some(terms) = &managed.record.candidate {
                let part = if terms.shadow { "shadow" } else { "serves" };
                weights.with_label_values(&[name, &*terms.version.to_string(), part]).set(terms.weight);
            }
            if let Some(counts) = managed.comparison.as_ref().map(|comparison| comparison.counts()) {
                let results = [("match", counts.matched), ("mismatch", counts.mismatched), ("skipped", counts.skipped)];
                results.into_iter().for_each(|(result, count)| verdicts.with_label_values(&[name, result]).inc_by(count));
            }
            for (outcome, count) in &managed.outcomes {
                ended.with_label_values(&[name, outcome.name()]).inc_by(*count);
            }
        }
        let families = [weights.collect(), verdicts.collect(), ended.collect()].concat();
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

fn weights() -> GaugeVec {
    GenericGaugeVec::new(Opts::new(WEIGHT.0, WEIGHT.1), &["plugin", "version", "part"]).expect("names and labels are fixed")
}

fn verdicts() -> IntCounterVec {
    IntCounterVec::new(Opts::new(VERDICTS.0, VERDICTS.1), &["plugin", "result"]).expect("names and labels are fixed")
}

fn ended() -> IntCounterVec {
    IntCounterVec::new(Opts::new(ENDED.0, ENDED.1), &["plugin", "outcome"]).expect("names and labels are fixed")
}
