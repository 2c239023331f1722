//! Revisions: what changed from one applied configuration to the next, when, and by whom. Going back is going through
//! these changes the other way.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::text::{Sha256, Timestamp};
use crate::config::{Change, Item, Kind};

use super::{Reading, Record, StoreError, Writing, number};

/// Older ones are forgotten.
const KEPT: u64 = 1000;

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

/// Why a revision cannot be gone back to.
#[derive(Debug, thiserror::Error)]
pub enum NoWayBack {
    /// It is not known any more, or was never there.
    #[error("revision {0} is not kept")]
    Unknown(u64),
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
    /// Adds a revision with what changed; the oldest go.
    pub fn add_revision(&self, revision: &Revision, differences: &Differences) -> Result<(), StoreError> {
        self.put(&number(revision.number), revision)?;
        self.put(&number(revision.number), differences)?;
        self.keep_last::<Revision>(KEPT)?;
        self.keep_last::<Differences>(KEPT)
    }
}

impl Reading {
    /// The last revision.
    pub fn last_revision(&self) -> Result<Option<Revision>, StoreError> {
        Ok(self.page_back(None, 1)?.pop().map(|(_, revision)| revision))
    }

    /// What every resource that changed since a revision was then; None where it was not there.
    pub fn since(&self, revision: u64) -> Result<BTreeMap<(Kind, String), Option<Value>>, NoWayBack> {
        if self.get::<Revision>(&number(revision))?.is_none() {
            return Err(NoWayBack::Unknown(revision));
        }
        let later = self.page::<Differences>(Some(&number(revision)), usize::MAX)?;
        let mut then = BTreeMap::new();
        // From the last to the first, so that the earliest change has the last word.
        for difference in later.into_iter().rev().flat_map(|(_, differences)| differences.0.into_iter().rev()) {
            then.insert((difference.kind, difference.name), difference.before);
        }
        Ok(then)
    }
}
