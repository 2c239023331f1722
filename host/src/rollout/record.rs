//! What is remembered of a plugin: its versions, which of them serves, and what became of those that were tried.
//! The same types tell the admin API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::text::{Sha256, Timestamp};
use crate::config::units::{Percent, Period};
use crate::plugin::compile::Sha256Digest;
use crate::store;

/// Versions of one plugin that are kept; the oldest that nothing points at goes first.
const MOST_VERSIONS: usize = 20;
/// Ends of rollouts that are kept.
const MOST_ENDED: usize = 20;

/// A plugin as the store keeps it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The number of the version that came last.
    pub last: u64,
    /// Its versions, by number.
    pub versions: Vec<Version>,
    /// The version that serves, where that is not what the configuration declares.
    pub choice: Option<Choice>,
    /// The version that served before.
    pub previous: Option<u64>,
    /// The version that is being tried.
    pub candidate: Option<Terms>,
    /// The stable version, as long as it is watched after it was made that.
    pub watched: Option<Terms>,
    /// Rollouts that are over, the last one last.
    pub ended: Vec<Ended>,
}

impl store::Record for Record {
    const TABLE: &'static str = "plugins";
}

/// A version of a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Its number; each new one is higher.
    pub version: u64,
    /// The digest of the component. Its first twelve digits are the label `version` of metrics.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// The capabilities and other interfaces that it imports.
    pub imports: Vec<String>,
    /// Where it came from.
    pub source: Source,
    /// The key that its signature is by, as the policy names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The signature that it came with, in Base64: a policy may ask for it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// When it became known.
    pub created: Timestamp,
}

/// Where a version came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Through the admin API.
    Upload,
    /// From a file that the configuration names.
    File,
    /// From a registry that the configuration names.
    Registry,
    /// With the gateway.
    BuiltIn,
}

/// A version that was made stable, and the component that the configuration declared then. When it declares another
/// one, that is the later decision and wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The version.
    pub version: u64,
    /// What was declared; None where the configuration leaves it to uploads.
    pub over: Option<Sha256>,
}

/// How a version is rolled out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The version.
    pub version: u64,
    /// The percentage of callers that get it, or of requests that it shadows. At 100 it becomes the stable one; a shadow
    /// stays one.
    #[serde(default = "all")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight: f64,
    /// It runs on copies of requests, and what it says is only compared with what the stable version says.
    #[serde(default)]
    pub shadow: bool,
    /// When it is withdrawn by itself.
    #[serde(default)]
    pub abort_if: AbortIf,
    /// Since when; the gateway says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// When a candidate is withdrawn by itself: as soon as any of these is passed. Of a version that was just made the stable
/// one, with nothing left to compare it with, only faults count, until the window is over and it had so many calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AbortIf {
    /// More than this share of its calls came to no answer.
    pub fault_rate: Percent,
    /// Its slowest hundredth of calls takes so much longer than that of the stable version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_p99: Option<Period>,
    /// So much more of its calls than of the stable version's end with an error that the plugin itself answers with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_refusals: Option<Percent>,
    /// A shadow said something else than the stable version more often than this.
    pub mismatch: Percent,
    /// Calls of the candidate before it is judged.
    pub min_requests: u64,
    /// The time that is looked back; longer where it had too few calls.
    pub window: Period,
}

impl Default for AbortIf {
    fn default() -> Self {
        Self {
            fault_rate: Percent::of(2.0),
            added_p99: None,
            added_refusals: None,
            mismatch: Percent::of(1.0),
            min_requests: 100,
            window: Period::secs(10),
        }
    }
}

/// A rollout that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// The version that was tried, or that was stable.
    pub version: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was made stable.
    Promoted,
    /// It was withdrawn by itself.
    Aborted,
    /// Somebody withdrew it.
    Withdrawn,
    /// Somebody went back to the version before it.
    RolledBack,
    /// The configuration declares another component since.
    Superseded,
}

impl Outcome {
    /// Its name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Promoted => "promoted",
            Outcome::Aborted => "aborted",
            Outcome::Withdrawn => "withdrawn",
            Outcome::RolledBack => "rolled_back",
            Outcome::Superseded => "superseded",
        }
    }
}

/// The moment, to the second.
pub fn now() -> Timestamp {
    Timestamp::now()
}

fn all() -> f64 {
    100.0
}

impl From<Sha256Digest> for Sha256 {
    fn from(digest: Sha256Digest) -> Self {
        Sha256(digest.0)
    }
}

impl Record {
    /// The version of that number.
    pub fn version(&self, number: u64) -> Option<&Version> {
        self.versions.iter().find(|version| version.version == number)
    }

    /// The version with that component.
    pub fn with(&self, sha256: Sha256) -> Option<&Version> {
        self.versions.iter().find(|version| version.sha256 == sha256)
    }

    /// The component of the version of that number.
    pub fn digest(&self, number: u64) -> Option<Sha256Digest> {
        self.version(number).map(|version| Sha256Digest(version.sha256.0))
    }

    /// Adds a version and gives it the next number. The oldest that nothing points at may go for it, which the declared
    /// component is not.
    pub fn add(&mut self, mut version: Version, declared: Option<Sha256>) -> u64 {
        self.last += 1;
        version.version = self.last;
        self.versions.push(version);
        let pinned = [self.choice.as_ref().map(|choice| choice.version), self.previous, self.candidate.as_ref().map(|terms| terms.version)];
        let last = self.last;
        let idle =
            |version: &Version| version.version != last && !pinned.contains(&Some(version.version)) && Some(version.sha256) != declared;
        while self.versions.len() > MOST_VERSIONS {
            let Some(oldest) = self.versions.iter().position(idle) else { break };
            self.versions.remove(oldest);
        }
        self.last
    }

    /// Keeps the signature of a component that is a version already and came again.
    pub fn sign(&mut self, sha256: Sha256, signature: &str, signed_by: Option<&str>) {
        if let Some(version) = self.versions.iter_mut().find(|version| version.sha256 == sha256) {
            version.signature = Some(signature.to_owned());
            version.signed_by = signed_by.map(str::to_owned).or(version.signed_by.take());
        }
    }

    /// Takes a version away, with any part that it has.
    pub fn delete(&mut self, number: u64) {
        self.versions.retain(|version| version.version != number);
        self.choice.take_if(|choice| choice.version == number);
        self.previous.take_if(|previous| *previous == number);
        self.candidate.take_if(|terms| terms.version == number);
        self.watched.take_if(|terms| terms.version == number);
    }

    /// Notes the end of a rollout.
    pub fn end(&mut self, version: u64, outcome: Outcome, reason: impl Into<String>, at: Timestamp) {
        self.ended.push(Ended { version, outcome, reason: reason.into(), at });
        let surplus = self.ended.len().saturating_sub(MOST_ENDED);
        self.ended.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn version(byte: u8) -> Version {
        let created = Timestamp(SystemTime::UNIX_EPOCH);
        Version {
            version: 0,
            sha256: Sha256([byte; 32]),
            size: 1,
            imports: Vec::new(),
            source: Source::Upload,
            signed_by: None,
            signature: None,
            created,
        }
    }

    #[test]
    fn versions_have_rising_numbers_and_the_oldest_idle_one_goes() {
        let mut record = Record::default();
        assert_eq!(record.add(version(1), None), 1);
        record.choice = Some(Choice { version: 1, over: None });
        for byte in 2..=22 {
            record.add(version(byte), Some(Sha256([2; 32])));
        }
        let numbers: Vec<u64> = record.versions.iter().map(|version| version.version).collect();
        assert_eq!(numbers.len(), MOST_VERSIONS);
        assert_eq!(
            (numbers[0], numbers[1], numbers[2], *numbers.last().unwrap()),
            (1, 2, 5, 22),
            "1 serves and 2 is declared, so 3 and 4 went: {numbers:?}"
        );
    }

    #[test]
    fn terms_say_when_a_candidate_goes_even_if_nobody_did() {
        let terms: Terms = serde_json::from_str(r#"{"version": 2, "weight": 5}"#).unwrap();
        assert_eq!(terms.abort_if, AbortIf::default());
        assert!(!terms.shadow);
        let terms: Terms = serde_json::from_str(r#"{"version": 2, "abort_if": {"added_p99": "10ms"}}"#).unwrap();
        assert_eq!((terms.weight, terms.abort_if.added_p99), (100.0, Some(Period::millis(10))));
        assert!(serde_json::from_str::<Terms>(r#"{"version": 2, "wieght": 5}"#).is_err(), "what is misspelt is no default");
    }
}
