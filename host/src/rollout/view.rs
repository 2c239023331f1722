//! What the admin API tells of plugins: their versions, who serves, how a candidate fares, and what became of others.

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::text::Sha256;
use crate::plugin::tally::Reading;

use super::record::{Ended, Source, Terms, Version};
use super::{Declared, Managed, RolloutError, Rollouts, stable};

/// A plugin in short.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// What serves.
    pub stable: Option<Serving>,
    /// The version that is being tried.
    pub candidate: Option<u64>,
    /// The configurations that routes use it with.
    pub configurations: usize,
}

/// A plugin with all that is known of its versions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// What serves.
    pub stable: Option<Serving>,
    /// The version that served before.
    pub previous: Option<u64>,
    /// The version that is being tried.
    pub candidate: Option<CandidateView>,
    /// The terms on which the stable version is watched, for a while after it was made that.
    pub watched: Option<Terms>,
    /// The configurations that routes use it with.
    pub configurations: usize,
    /// Its versions, by number.
    pub versions: Vec<Version>,
    /// Rollouts that are over, the last one last.
    pub ended: Vec<Ended>,
}

/// The version that serves.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Serving {
    /// Its number; none as long as the configuration's component has none.
    pub version: Option<u64>,
    /// Its digest.
    pub sha256: Sha256,
    /// Where it came from.
    pub source: Source,
    /// The reference in a registry that it came from, with the digest of its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A version that is being tried, and how it fares.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CandidateView {
    /// On what terms.
    #[serde(flatten)]
    pub terms: Terms,
    /// The seconds that the numbers are of.
    pub seconds: u64,
    /// The stable version's numbers.
    pub stable: Fares,
    /// The candidate's.
    pub candidate: Fares,
    /// What was compared, where it is a shadow.
    pub compared: Option<Compared>,
}

/// How one version fares.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fares {
    /// Calls.
    pub calls: u64,
    /// Calls that came to no answer.
    pub faults: u64,
    /// Requests that it answered with an error of its own.
    pub refusals: u64,
    /// The time that half of the calls stayed within.
    pub p50_ms: Option<f64>,
    /// The time that 99 of a hundred calls stayed within.
    pub p99_ms: Option<f64>,
}

/// Verdicts of a shadow since it was rolled out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Compared {
    /// The same as the stable version's.
    pub matched: u64,
    /// Others.
    pub mismatched: u64,
    /// Requests that were not shown to it.
    pub skipped: u64,
    /// The last two that differed.
    pub example: Option<String>,
}

impl Rollouts {
    /// All plugins, by name.
    pub fn list(&self) -> Vec<Summary> {
        self.plugins.lock().iter().map(|(name, managed)| managed.summary(name)).collect()
    }

    /// One plugin.
    pub fn view(&self, plugin: &str) -> Result<PluginView, RolloutError> {
        let plugins = self.plugins.lock();
        let managed = plugins.get(plugin).ok_or_else(|| RolloutError::UnknownPlugin(plugin.to_owned()))?;
        Ok(managed.view(plugin))
    }
}

impl Managed {
    fn summary(&self, name: &str) -> Summary {
        Summary {
            name: name.to_owned(),
            stable: self.serving(),
            candidate: self.record.candidate.as_ref().map(|terms| terms.version),
            configurations: self.seats.len(),
        }
    }

    fn view(&self, name: &str) -> PluginView {
        PluginView {
            name: name.to_owned(),
            stable: self.serving(),
            previous: self.record.previous,
            candidate: self.record.candidate.as_ref().map(|terms| self.candidate(terms)),
            watched: self.record.watched.clone(),
            configurations: self.seats.len(),
            versions: self.record.versions.clone(),
            ended: self.record.ended.clone(),
        }
    }

    fn serving(&self) -> Option<Serving> {
        let declared = self.declared.as_ref();
        let version = stable(&self.record, declared.map(|declared| declared.digest)).and_then(|number| self.record.version(number));
        let (number, sha256, source) = match (version, declared) {
            (Some(version), _) => (Some(version.version), version.sha256, version.source),
            (None, Some(declared)) => (None, declared.digest.into(), Source::from(&declared.origin)),
            (None, None) => return None,
        };
        let reference = declared.filter(|declared| declared.digest.0 == sha256.0).and_then(Declared::reference);
        Some(Serving { version: number, sha256, source, reference })
    }

    fn candidate(&self, terms: &Terms) -> CandidateView {
        let (recent, time) = self.trial.recently(&terms.abort_if);
        CandidateView {
            terms: terms.clone(),
            seconds: time.as_secs(),
            stable: Fares::from(&recent.stable),
            candidate: Fares::from(&recent.candidate),
            compared: self.comparison.as_ref().map(|comparison| {
                let counts = comparison.counts();
                Compared { matched: counts.matched, mismatched: counts.mismatched, skipped: counts.skipped, example: comparison.example() }
            }),
        }
    }
}

impl From<&Reading> for Fares {
    fn from(reading: &Reading) -> Self {
        let millis = |share| reading.quantile(share).map(|time| time.as_secs_f64() * 1e3);
        Self { calls: reading.calls(), faults: reading.faults, refusals: reading.refusals, p50_ms: millis(0.5), p99_ms: millis(0.99) }
    }
}
