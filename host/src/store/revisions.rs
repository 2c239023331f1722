//! Revisions: what changed from one applied configuration to the next, when, and by whom. Going back is going through
//! these changes the other way.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::text::{Sha256, Timestamp};
use crate::config::{Change, Item, Kind, Parts};

use super::{Reading, Record, StoreError, Writing, number};

/// Older ones are forgotten.
const KEPT: u64 = 1000;
/// Bytes of changes that are kept together; those of the last revision always are.
const KEPT_BYTES: u64 = 64 << 20;
/// What the action of a revision begins with that revokes a key.
pub const REVOKE: &str = "revoke key ";
/// Changes by files that are kept of one revision.
const SHOWN: usize = 1000;

/// An applied configuration, as a difference from the one before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Revision {
    /// Its number; each is higher than those before.
    pub number: u64,
    /// When it was applied.
    pub at: Timestamp,
    /// Who did it: a token by name and id, or `files`.
    pub by: String,
    /// What they did.
    pub action: String,
    /// A digest of what the files declared.
    pub files: Sha256,
    /// How many of the resources that the admin API made changed.
    pub changes: usize,
    /// How much of what files declare changed.
    #[serde(default)]
    pub file_changes: usize,
    /// The bytes that all of it takes.
    #[serde(default)]
    pub size: u64,
}

/// What changed with a revision. In a table of its own: it may be as large as everything that was ever made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Differences(pub Vec<Difference>);

/// One resource that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// What it was; null where it was not there.
    pub before: Option<Value>,
    /// What it is now; null where it is gone.
    pub after: Option<Value>,
}

/// What changed of what files declare: for people, since going back is the files' own business. The first thousand.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileDifferences(pub Vec<FileDifference>);

/// One part of the files that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileDifference {
    /// The section of the configuration.
    pub section: String,
    /// What it is called; empty where the section is one thing.
    pub name: String,
    /// What it was; null where it was not there.
    pub before: Option<Value>,
    /// What it is now; null where it is gone.
    pub after: Option<Value>,
}

/// Why a revision cannot be gone back to.
#[derive(Debug, thiserror::Error)]
pub enum NoWayBack {
    /// It is not known any more, or was never there.
    #[error("revision {0} is not kept")]
    Unknown(u64),
    /// It is known, but not everything that changed since.
    #[error("what changed since revision {0} is not kept any more")]
    Forgotten(u64),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Record for Revision {
    const TABLE: &'static str = "revisions";
}

impl Record for Differences {
    const TABLE: &'static str = "revision-changes";
}

impl Record for FileDifferences {
    const TABLE: &'static str = "revision-file-changes";
}

impl FileDifferences {
    /// What differs between the parts of two configurations, by section and name, and how much.
    pub fn between(mut before: Parts, mut after: Parts) -> (Self, usize) {
        before.retain(|key, value| {
            let is_same = after.get(key) == Some(value);
            if is_same {
                after.remove(key);
            }
            !is_same
        });
        let mut keys: Vec<_> = before.keys().chain(after.keys()).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        let count = keys.len();
        let differences = keys.into_iter().take(SHOWN).map(|key| {
            let (before, after) = (before.remove(&key), after.remove(&key));
            FileDifference { section: key.0, name: key.1, before, after }
        });
        (Self(differences.collect()), count)
    }
}

impl Difference {
    /// What a change makes of what was there.
    pub fn of(change: &Change, before: Option<&Item>) -> Self {
        Self {
            kind: change.kind(),
            name: change.name().to_owned(),
            before: before.map(Item::to_json),
            after: change.after().map(Item::to_json),
        }
    }
}

impl Writing {
    /// Adds a revision with what changed; the oldest go, and what changed with them before that.
    pub fn add_revision(&self, mut revision: Revision, differences: &Differences, files: &FileDifferences) -> Result<(), StoreError> {
        let key = number(revision.number);
        let size = |value: serde_json::Result<Vec<u8>>| value.map_or(0, |text| text.len() as u64);
        revision.size = size(serde_json::to_vec(differences)) + size(serde_json::to_vec(files));
        self.put(&key, &revision)?;
        self.put(&key, differences)?;
        if !files.0.is_empty() {
            self.put(&key, files)?;
        }
        self.keep_last::<Revision>(KEPT)?;
        self.keep_changes()
    }

    /// Takes away what changed with revisions that are too many, or too large together.
    fn keep_changes(&self) -> Result<(), StoreError> {
        let most = usize::try_from(self.kept.revisions.max(1)).unwrap_or(usize::MAX);
        let (mut bytes, mut first) = (0, None);
        for (key, revision) in self.page_back::<Revision>(most)? {
            bytes += revision.size;
            if bytes > KEPT_BYTES && first.is_some() {
                break;
            }
            first = Some(key);
        }
        let Some(first) = first else { return Ok(()) };
        self.drop_before::<Differences>(&first)?;
        self.drop_before::<FileDifferences>(&first)
    }
}

impl Reading {
    /// The last revision.
    pub fn last_revision(&self) -> Result<Option<Revision>, StoreError> {
        Ok(self.page_back(None, 1)?.pop().map(|(_, revision)| revision))
    }

    /// What every resource that changed since a revision was then, without keys that were revoked since; None where it was
    /// not there.
    pub fn since(&self, revision: u64) -> Result<BTreeMap<(Kind, String), Option<Value>>, NoWayBack> {
        if self.get::<Revision>(&number(revision))?.is_none() {
            return Err(NoWayBack::Unknown(revision));
        }
        let next = self.page::<Revision>(Some(&number(revision)), 1)?.pop();
        if let Some((next, _)) = next
            && self.get::<Differences>(&next)?.is_none()
        {
            return Err(NoWayBack::Forgotten(revision));
        }
        let later = self.page::<Differences>(Some(&number(revision)), usize::MAX)?;
        let mut then = BTreeMap::new();
        // From the last to the first, so that the earliest change has the last word.
        for difference in later.into_iter().rev().flat_map(|(_, differences)| differences.0.into_iter().rev()) {
            then.insert((difference.kind, difference.name), difference.before);
        }
        let revoked = self.revoked_since(revision)?;
        then.values_mut().flatten().for_each(|value| without_keys(value, &revoked));
        Ok(then)
    }

    /// The digests of keys that were revoked since a revision. Whatever is gone back to, they stay that.
    fn revoked_since(&self, revision: u64) -> Result<HashSet<String>, StoreError> {
        let mut revoked = HashSet::new();
        let later = self.page::<Revision>(Some(&number(revision)), usize::MAX)?;
        for (key, _) in later.into_iter().filter(|(_, revision)| revision.action.starts_with(REVOKE)) {
            for difference in self.get::<Differences>(&key)?.unwrap_or_default().0 {
                let left: HashSet<String> = keys(difference.after.as_ref()).collect();
                revoked.extend(keys(difference.before.as_ref()).filter(|digest| !left.contains(digest)));
            }
        }
        Ok(revoked)
    }
}

/// The digests of a client's keys. Of anything else, none.
fn keys(client: Option<&Value>) -> impl Iterator<Item = String> {
    let keys = client.and_then(|client| client["keys"].as_array()).into_iter().flatten();
    keys.filter_map(digest)
}

fn digest(key: &Value) -> Option<String> {
    key["sha256"].as_str().or(key["hmac"].as_str()).map(str::to_owned)
}

fn without_keys(client: &mut Value, revoked: &HashSet<String>) {
    if let Some(keys) = client.get_mut("keys").and_then(Value::as_array_mut) {
        keys.retain(|key| digest(key).is_none_or(|digest| !revoked.contains(&digest)));
    }
}
